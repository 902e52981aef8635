# Sourced by scripts/test and scripts/soak: the benchmarks there are.
# shellcheck shell=bash

BENCHES=(features policy journal crash ledger routing certificates zeroeval banking certify demo gateway faults telemetry fuzz)

# Those of them that stand in bench/; the others are named.
benches_here() {
    local name
    for name in "${BENCHES[@]}"; do
        if [[ -f bench/$name.py ]]; then
            echo "$name"
        else
            say "bench/$name.py: not there, left out"
        fi
    done
}
