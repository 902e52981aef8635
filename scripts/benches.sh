# Sourced by scripts/test and scripts/soak: the benchmarks there are.
# shellcheck shell=bash

BENCHES=(features counting history parsing pace policy journal crash ledger routing certificates zeroeval banking certify demo gateway faults tasks batch telemetry fuzz)
# What needs more than scripts/test installs: scripts/soak alone runs them.
SOAK_BENCHES=(real)

# Those of some that stand in bench/; the others are named.
benches_here() {
    local name
    for name in "$@"; do
        if [[ -f bench/$name.py ]]; then
            echo "$name"
        else
            say "bench/$name.py: not there, left out"
        fi
    done
}
