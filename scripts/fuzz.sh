#!/bin/sh
# Runs every fuzzer of the tree for a while, one after the other: go test fuzzes one at a time.
#   scripts/fuzz.sh 30s [PACKAGE-PATTERN]
set -eu
time=${1:?how long, as 30s}
pattern=${2:-./...}
count=0
failed=
for dir in $(go list -f '{{.Dir}}' "$pattern"); do
	for name in $(cat "$dir"/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
		count=$((count + 1))
		echo "== $name in $dir"
		go test -C "$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$time" . || failed="$failed $name"
	done
done
echo "$count fuzzers, failed:${failed:- none}"
[ "$count" -gt 0 ] && [ -z "$failed" ]
