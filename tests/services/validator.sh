#!/usr/bin/env bash
# The FHIR R4 validator, without a network: validator.sh install DIR | validator.sh run DIR [--profiles FOLDER]… FILE…
# "run" prints one line a file and ends with 1 when a file has an error.
. "$(dirname "$0")/common.sh"
read_arguments "$@"
shift 2
cache=${PORTAL_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pharmacy-portal}/validator-$(cat "$here"/validator/pom.xml "$here"/validator/src/main/java/portaltest/*.java | sha256sum | cut -c 1-12)
case $action in
install)
    need_java
    [ -f "$cache/target/complete" ] && exit 0
    mkdir -p "$cache"
    cp -r "$here/validator/pom.xml" "$here/validator/src" "$cache/"
    mvn -B -q -ntp -f "$cache/pom.xml" package >"$dir/validator-build.log" 2>&1 ||
        { tail -n 25 "$dir/validator-build.log" >&2; die "the build failed (is Maven's repository reachable?)"; }
    touch "$cache/target/complete"
    ;;
run) exec java -Xmx700m -XX:TieredStopAtLevel=1 -cp "$cache/target/fhir-validator-1.jar:$cache/target/lib/*" portaltest.Validate "$@" ;;
*) die "unknown action $action" ;;
esac
