#!/bin/sh
# Runs the real clients of the npm registry against a running Garde, and prints TAP.
#
#   GARDE_ISSUER         the issuer; without it house.js builds two houses for the time of the run
#   GARDE_CLIENT_ID, GARDE_CLIENT_SECRET, GARDE_REDIRECT_URI, GARDE_USER, GARDE_PASSWORD
#                        whom to be; a test that lacks one of them skips and says so
set -eu
cd "$(dirname "$0")"

work=
running=
finish() {
	[ -z "$running" ] || { kill -TERM "$running" && wait "$running"; } 2>/dev/null || true
	[ -z "$work" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

set -- node --test --test-timeout=120000 --test-reporter=tap test/*.test.js
if [ -z "${GARDE_ISSUER:-}" ]; then
	work=$(mktemp -d)
	go build -C .. -o "$work/garde" ./cmd/garde
	go run testdata/authority/main.go "$work"
	set -- node house.js "$work/garde" "$work" "$@"
fi
"$@" &
running=$!
status=0
wait "$running" || status=$?
running=
exit "$status"
