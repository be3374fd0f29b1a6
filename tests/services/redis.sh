#!/usr/bin/env bash
# Redis on loopback, nothing kept on disk.
. "$(dirname "$0")/common.sh"
read_arguments "$@"
case $action in
install) need redis-server redis-server ;;
start)
    launch "$dir/redis.pid" "$dir/redis.log" redis-server --bind 127.0.0.1 --port "$port" --save "" --appendonly no \
        --dir "$dir" --daemonize no
    wait_for 20 "$dir/redis.pid" "$dir/redis.log" redis-cli -h 127.0.0.1 -p "$port" ping
    ;;
stop) halt "$dir/redis.pid" ;;
*) die "unknown action $action" ;;
esac
