#!/usr/bin/env bash
# A mail server that keeps every mail as a file in DIR/mails.
. "$(dirname "$0")/common.sh"
read_arguments "$@"
python=$here/../../.venv/bin/python
case $action in
install) [ -x "$python" ] || die "the environment is missing; make setup-dev" ;;
start)
    launch "$dir/smtp.pid" "$dir/smtp.log" "$python" "$here/smtp_sink.py" "$dir/mails" "$port"
    wait_for 20 "$dir/smtp.pid" "$dir/smtp.log" test -f "$dir/mails/.ready"
    ;;
stop) halt "$dir/smtp.pid" 5 ;;
*) die "unknown action $action" ;;
esac
