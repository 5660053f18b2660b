#!/bin/sh
# Runs the real clients of the npm registry against a running Garde, and prints TAP.
#
#   GARDE_ISSUER         the issuer; without it a demo is started for the time of the run
#   GARDE_CLIENT_ID, GARDE_CLIENT_SECRET, GARDE_REDIRECT_URI, GARDE_USER, GARDE_PASSWORD
#                        whom to be; a test that lacks one of them skips and says so
set -eu
cd "$(dirname "$0")"

demo=
work=
finish() {
	[ -z "$demo" ] || kill -INT "$demo" 2>/dev/null || true
	[ -z "$demo" ] || wait "$demo" 2>/dev/null || true
	[ -z "$work" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

if [ -z "${GARDE_ISSUER:-}" ] && [ -f ../cmd/garde/main.go ]; then
	work=$(mktemp -d)
	(cd .. && go build -o "$work/garde" ./cmd/garde)
	port=$(node -e 'console.log(20000 + Math.floor(Math.random() * 4000) * 3)') # the demo takes the next two as well
	"$work/garde" demo --listen "localhost:$port" --data "$work/data" >"$work/log" 2>&1 </dev/null &
	demo=$!
	export GARDE_ISSUER="http://localhost:$port"
	node --input-type=module -e '
		const address = process.env.GARDE_ISSUER + "/.well-known/openid-configuration"
		for (const end = Date.now() + 20000; Date.now() < end; await new Promise(r => setTimeout(r, 50)))
			if (await fetch(address).then(r => r.ok, () => false)) process.exit(0)
		process.exit(1)' || {
		echo "the demo does not answer:"
		cat "$work/log"
		exit 1
	}
fi
node --test --test-reporter=tap test/*.test.js
