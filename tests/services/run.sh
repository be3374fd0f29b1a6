#!/usr/bin/env bash
# Installs and starts the servers that the tests need, runs a command beside them, and always ends what it started.
#
#   tests/services/run.sh COMMAND…                            all servers
#   tests/services/run.sh --only postgresql,redis COMMAND…    some of them
#
# The command finds them by PORTAL_TEST_DATABASE_URL (owner role, may create databases), PORTAL_TEST_APP_DATABASE_URL
# (the portal's own role), PORTAL_TEST_REDIS_URL, PORTAL_TEST_SMTP_URL, PORTAL_TEST_MAILS (folder), PORTAL_TEST_HAPI,
# PORTAL_TEST_KEYCLOAK (issuer), PORTAL_TEST_KEYCLOAK_ADMIN, PORTAL_TEST_PORTAL_PORT (the port Keycloak tells of
# logouts) and PORTAL_TEST_VALIDATOR (a command). A server that does not start is a failure, never a skip.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

services=postgresql,redis,smtp,validator,hapi,keycloak
if [ "${1:-}" = --only ]; then services=$2; shift 2; fi
[ $# -gt 0 ] || { echo "usage: run.sh [--only NAME,…] COMMAND…" >&2; exit 2; }

work=$(mktemp -d /tmp/portal-services-XXXXXX)
chmod 711 "$work" # PostgreSQL's own user must reach its folder below
# Each test has a database of its own. Where memory can hold them that is five times as fast, at the same settings:
# what the tests kill are portals, never the machine.
fast=
if [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR==2 {print $4}')" -gt 4000000 ] 2>/dev/null; then
    fast=$(mktemp -d /dev/shm/portal-services-XXXXXX)
    chmod 711 "$fast"
    ln -s "$fast" "$work/postgresql"
fi
started=()

finish() {
    local status=$?
    trap - EXIT INT TERM
    for name in "${started[@]}"; do
        "$here/$name.sh" stop "$work/$name" || echo "$name did not stop cleanly; see $work/$name" >&2
    done
    if [ $status -eq 0 ] || [ -z "${PORTAL_TEST_KEEP_LOGS:-}" ]; then rm -rf "$work" $fast; else echo "Logs: $work" >&2; fi
    exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

read -r -d '' -a ports < <(python3 - <<'PY'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(one.getsockname()[1] for one in held))
PY
) || true
declare -A port=([postgresql]=${ports[0]} [redis]=${ports[1]} [smtp]=${ports[2]} [hapi]=${ports[3]} [keycloak]=${ports[4]})
export PORTAL_TEST_PORTAL_PORT=${ports[5]}
export KEYCLOAK_PORTAL=http://127.0.0.1:${ports[5]}

IFS=, read -r -a names <<<"$services"
for name in "${names[@]}"; do
    [ -x "$here/$name.sh" ] || { echo "unknown service $name" >&2; exit 2; }
    echo "installing $name …"
    "$here/$name.sh" install "$work/$name"
done

pids=()
for name in "${names[@]}"; do
    [ "$name" = validator ] && continue
    started+=("$name")
    echo "starting $name on 127.0.0.1:${port[$name]} …"
    "$here/$name.sh" start "$work/$name" "${port[$name]}" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || { echo "a server did not start; its words are above" >&2; exit 1; }; done

for name in "${names[@]}"; do
    at=127.0.0.1:${port[$name]:-}
    case $name in
    postgresql)
        export PORTAL_TEST_DATABASE_URL=postgresql+psycopg://portal_owner:portal_owner@$at/portal
        export PORTAL_TEST_APP_DATABASE_URL=postgresql+psycopg://portal_app:portal_app@$at/portal
        ;;
    redis) export PORTAL_TEST_REDIS_URL=redis://$at/0 ;;
    smtp) export PORTAL_TEST_SMTP_URL=smtp://$at PORTAL_TEST_MAILS=$work/smtp/mails ;;
    hapi) export PORTAL_TEST_HAPI=http://$at/fhir ;;
    keycloak) export PORTAL_TEST_KEYCLOAK=http://$at/realms/pharmacy PORTAL_TEST_KEYCLOAK_ADMIN=http://$at/admin/realms/pharmacy ;;
    validator) export PORTAL_TEST_VALIDATOR="$here/validator.sh run $work/validator" ;;
    esac
done
echo "all servers answer"
"$@"
