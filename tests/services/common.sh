# What the service scripts share. Each script is called as: NAME.sh install|start|stop DIR [PORT]
# DIR holds everything a service makes; nothing is written elsewhere and nothing listens beyond 127.0.0.1.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() { echo "$(basename "$0" .sh): $*" >&2; exit 1; }

# need COMMAND PACKAGE…: install Debian packages when a command is missing.
need() {
    local command=$1; shift
    command -v "$command" >/dev/null && return 0
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        die "$command is missing; as root: apt-get install $*"
    apt-get update -q >/dev/null || die "apt-get update failed"
    # Debian starts servers as it installs them, on their usual ports; this says no to that for as long as it takes.
    local policy=/usr/sbin/policy-rc.d ours= status=0
    if [ ! -e $policy ]; then ours=$policy; printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null || status=$?
    rm -f $ours
    [ $status = 0 ] || die "apt-get install $* failed"
}

need_java() {
    need java openjdk-17-jdk-headless
    need javac openjdk-17-jdk-headless
    need mvn maven
}

# wait_for SECONDS PIDFILE LOG COMMAND…: until the command succeeds; fails when the process is gone or time is up.
wait_for() {
    local seconds=$1 pidfile=$2 log=$3; shift 3
    local end=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        if ! kill -0 "$(cat "$pidfile")" 2>/dev/null; then tail -n 25 "$log" >&2; die "ended while starting (above: $log)"; fi
        if [ $SECONDS -ge $end ]; then tail -n 25 "$log" >&2; die "not ready after $seconds s (above: $log)"; fi
        sleep 0.3
    done
}

answers() { python3 - "$1" <<'PY'
import sys, urllib.request
with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=3) as answer:
    sys.exit(answer.status != 200)
PY
}

# launch PIDFILE LOG COMMAND…: in a session of its own, so that stopping reaches all of it and Ctrl-C does not reach it first.
launch() {
    local pidfile=$1 log=$2; shift 2
    setsid "$@" >"$log" 2>&1 </dev/null &
    echo $! >"$pidfile"
}

# halt PIDFILE [SECONDS]: ask, wait, then end it and whatever it started. Without a pid file there is nothing to do.
halt() {
    local pidfile=$1 pid
    [ -f "$pidfile" ] || return 0
    pid=$(cat "$pidfile")
    kill -- "-$pid" 2>/dev/null || kill "$pid" 2>/dev/null || true
    for _ in $(seq 1 $(( ${2:-20} * 5 ))); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    kill -9 -- "-$pid" 2>/dev/null || true
    rm -f "$pidfile"
}

read_arguments() {
    [ $# -ge 2 ] || die "usage: $(basename "$0") install|start|stop DIR [PORT]"
    action=$1
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    port=${3:-}
    [ "$action" != start ] || [ -n "$port" ] || die "start needs a port"
}
