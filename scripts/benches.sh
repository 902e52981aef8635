# Sourced by scripts/test and scripts/soak: the benchmarks there are.
# shellcheck shell=bash

BENCHES=(features parsing policy journal crash ledger routing certificates judges offpolicy drift datasets zeroeval evaluate personal specialists distill code continual spans banking certify demo gateway faults tasks batch telemetry fuzz)
# What needs more than scripts/test installs, or measures what changes seldom: scripts/soak alone runs them.
SOAK_BENCHES=(real counting history pace thinking)

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
