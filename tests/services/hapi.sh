#!/usr/bin/env bash
# A FHIR R4 server: HAPI with an in-memory H2 database, built once from Maven.
# The build is kept in PORTAL_TEST_CACHE (default: ~/.cache/pharmacy-portal), by the hash of its sources.
. "$(dirname "$0")/common.sh"
read_arguments "$@"
cache=${PORTAL_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pharmacy-portal}/hapi-$(cat "$here"/hapi/pom.xml "$here"/hapi/src/main/java/portaltest/*.java | sha256sum | cut -c 1-12)
case $action in
install)
    need_java
    [ -f "$cache/target/complete" ] && exit 0
    mkdir -p "$cache"
    cp -r "$here/hapi/pom.xml" "$here/hapi/src" "$cache/"
    mvn -B -q -ntp -f "$cache/pom.xml" package >"$dir/hapi-build.log" 2>&1 ||
        { tail -n 25 "$dir/hapi-build.log" >&2; die "the build failed (is Maven's repository reachable?)"; }
    touch "$cache/target/complete"
    ;;
start)
    launch "$dir/hapi.pid" "$dir/hapi.log" java -Xmx600m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir="$dir" \
        -cp "$cache/target/fhir-server-1.jar:$cache/target/lib/*" portaltest.FhirServer "$port"
    wait_for 240 "$dir/hapi.pid" "$dir/hapi.log" answers "http://127.0.0.1:$port/fhir/metadata"
    ;;
stop) halt "$dir/hapi.pid" ;;
*) die "unknown action $action" ;;
esac
