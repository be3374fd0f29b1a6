#!/usr/bin/env bash
# Keycloak with the realm of keycloak/realm.json, from Maven; nothing kept between starts. It is built for its settings
# once, at install: every start would do that again otherwise, which takes longer than the start itself.
# KEYCLOAK_PORTAL (default http://127.0.0.1:5000) is the portal that is told of logouts.
. "$(dirname "$0")/common.sh"
read_arguments "$@"
version=26.7.3
cache=${PORTAL_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pharmacy-portal}/keycloak-$version
case $action in
install)
    need_java
    need unzip unzip
    [ -f "$cache/built" ] && exit 0
    rm -rf "$cache"
    mkdir -p "$cache"
    mvn -B -q -ntp org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -DoutputDirectory="$dir" \
        -Dartifact="org.keycloak:keycloak-quarkus-dist:$version:zip" >"$dir/keycloak-build.log" 2>&1 ||
        { tail -n 25 "$dir/keycloak-build.log" >&2; die "Keycloak could not be fetched (is Maven's repository reachable?)"; }
    unzip -q -o "$dir/keycloak-quarkus-dist-$version.zip" -d "$cache"
    rm "$dir/keycloak-quarkus-dist-$version.zip"
    "$cache/keycloak-$version/bin/kc.sh" build --db dev-mem --cache local >"$dir/keycloak-build.log" 2>&1 ||
        { tail -n 25 "$dir/keycloak-build.log" >&2; die "Keycloak could not be built"; }
    touch "$cache/built"
    ;;
start)
    home=$dir/keycloak
    rm -rf "$home"
    cp -r "$cache/keycloak-$version" "$home"
    mkdir -p "$home/data/import"
    sed "s#http://portal.invalid#${KEYCLOAK_PORTAL:-http://127.0.0.1:5000}#" "$here/keycloak/realm.json" >"$home/data/import/realm.json"
    export KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD=admin
    export JAVA_OPTS_KC_HEAP="-Xms64m -Xmx512m"
    launch "$dir/keycloak.pid" "$dir/keycloak.log" "$home/bin/kc.sh" start --optimized --import-realm --cache local \
        --http-enabled true --http-host 127.0.0.1 --http-port "$port" --hostname "http://127.0.0.1:$port"
    wait_for 300 "$dir/keycloak.pid" "$dir/keycloak.log" answers "http://127.0.0.1:$port/realms/pharmacy/.well-known/openid-configuration"
    ;;
stop) halt "$dir/keycloak.pid" ;;
*) die "unknown action $action" ;;
esac
