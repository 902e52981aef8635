# Sourced by scripts/test and scripts/soak: a PostgreSQL of our own in a temporary folder, gone when the script ends.
# shellcheck shell=bash

POSTGRES_FOLDER=""

_newest_postgres() {
    find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1 | xargs -r dirname
}

# PostgreSQL refuses to run as root.
_as_postgres() {
    if [[ $(id -u) == 0 ]]; then
        runuser -u "$(id -un postgres 2>/dev/null || echo nobody)" -- "$@"
    else
        "$@"
    fi
}

# Sets FREEHOLD_TEST_POSTGRES, unless it is set already. Without binaries, and without the right to install them, it stays unset.
start_postgres() {
    if [[ -n ${FREEHOLD_TEST_POSTGRES:-} ]]; then
        say "PostgreSQL: the one FREEHOLD_TEST_POSTGRES names"
        return
    fi
    local bin port
    bin=$(_newest_postgres)
    if [[ -z $bin ]]; then
        install_debian postgresql || true
        bin=$(_newest_postgres)
    fi
    if [[ -z $bin ]]; then
        say "PostgreSQL: not installed, so its tests are skipped. On Debian: sudo apt-get install postgresql, or set FREEHOLD_TEST_POSTGRES"
        return
    fi
    POSTGRES_FOLDER=$(mktemp -d)
    trap stop_postgres EXIT
    [[ $(id -u) == 0 ]] && chown "$(id -un postgres 2>/dev/null || echo nobody)" "$POSTGRES_FOLDER"
    port=$("$VENV/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    # From / because the user it runs as may not enter the folder we stand in. Durability is the server's own business: fsync is off.
    if (cd / && _as_postgres "$bin/initdb" -D "$POSTGRES_FOLDER/data" -U freehold -A trust -E UTF8 --locale=C.UTF-8 --no-sync &&
        _as_postgres "$bin/pg_ctl" -D "$POSTGRES_FOLDER/data" -l "$POSTGRES_FOLDER/log" -w -t 60 \
            -o "-p $port -c listen_addresses=127.0.0.1 -k '$POSTGRES_FOLDER' -c fsync=off -c max_connections=200" start) >"$POSTGRES_FOLDER.out" 2>&1; then
        export FREEHOLD_TEST_POSTGRES="postgresql://freehold@127.0.0.1:$port/postgres"
        say "PostgreSQL: our own, from $bin, on port $port"
    else
        cat "$POSTGRES_FOLDER.out" "$POSTGRES_FOLDER/log" >&2 2>/dev/null || true
        stop "PostgreSQL from $bin does not start; its output stands above. Set FREEHOLD_TEST_POSTGRES to use another."
    fi
}

stop_postgres() {
    [[ -n $POSTGRES_FOLDER ]] || return 0
    (cd / && _as_postgres "$(_newest_postgres)/pg_ctl" -D "$POSTGRES_FOLDER/data" -m immediate stop) >/dev/null 2>&1 || true
    rm -rf "$POSTGRES_FOLDER" "$POSTGRES_FOLDER.out"
    POSTGRES_FOLDER=""
}
