#!/usr/bin/env bash
# A PostgreSQL cluster of its own: TCP on loopback and a socket in DIR, durable as in production (fsync on).
#
# Two roles, as in production (deploy/postgresql.sql): portal_owner makes databases and owns every table; portal_app is
# what the portal signs in as and owns nothing. Passwords equal the names.
# PostgreSQL refuses to run as root, so root hands it to the system's postgres user.
. "$(dirname "$0")/common.sh"
read_arguments "$@"

binaries() { # the newest version on this machine, 15 or later
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
    if [ -n "$found" ]; then echo "$found"; else dirname "$(command -v initdb)"; fi
}

as_server() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

case $action in
install)
    [ -n "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || need initdb postgresql postgresql-contrib
    ;;
start)
    bin=$(binaries)
    data=$dir/pgdata
    sockets=$(mktemp -d /tmp/portal-pg-XXXXXX) # a socket's path may have no more than 107 characters
    echo "$sockets" >"$dir/sockets"
    rm -rf "$data"
    mkdir -p "$data"
    if [ "$(id -u)" = 0 ]; then chown postgres "$data" "$sockets"; fi
    # The server's user must reach the folder, wherever DIR lies.
    as_server test -x "$data" || die "the user postgres cannot reach $data; choose another DIR"
    as_server "$bin/initdb" -D "$data" -U postgres --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 || { tail -n 20 "$dir/initdb.log" >&2; die "initdb failed"; }
    # Without autovacuum: its worker in a test's database, which lives for a second, is a connection that the owner's
    # role may not end, so that the database could neither be copied nor dropped.
    server=("$bin/postgres" -D "$data" -h 127.0.0.1 -p "$port" -k "$sockets" -c max_connections=200 -c shared_buffers=128MB
        -c autovacuum=off)
    if [ "$(id -u)" = 0 ]; then server=(runuser -u postgres -- "${server[@]}"); fi
    launch "$dir/postgresql.pid" "$dir/postgresql.log" "${server[@]}"
    wait_for 60 "$dir/postgresql.pid" "$dir/postgresql.log" "$bin/pg_isready" -h "$sockets" -p "$port" -q
    "$bin/psql" -q -h "$sockets" -p "$port" -U postgres -d postgres -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE portal_owner LOGIN CREATEDB PASSWORD 'portal_owner';
CREATE ROLE portal_app LOGIN PASSWORD 'portal_app';
CREATE DATABASE portal OWNER portal_owner;
SQL
    ;;
stop)
    if [ -f "$dir/pgdata/postmaster.pid" ]; then
        # An orderly, quick end: connections are cut, the data are left in order.
        kill -INT "$(head -n 1 "$dir/pgdata/postmaster.pid")" 2>/dev/null || true
    fi
    for _ in $(seq 1 100); do [ -f "$dir/pgdata/postmaster.pid" ] || break; sleep 0.1; done
    halt "$dir/postgresql.pid" 5
    if [ -f "$dir/sockets" ]; then rm -rf -- "$(cat "$dir/sockets")" "$dir/sockets"; fi
    ;;
*) die "unknown action $action" ;;
esac
