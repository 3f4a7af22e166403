#!/usr/bin/env bash
# Runs each fuzz target for FUZZTIME, whichever packages they are in. Arguments narrow it to targets of these names. A
# crash leaves its input in the package's testdata/fuzz, from where go test runs it ever after.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# targets prints "package target" for each.
targets() {
	git grep --untracked --heading --break -h -o -E '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' |
		awk '/_test\.go$/ {sub(/[^\/]*$/, ""); dir = $0; next} /^func/ {print "./" dir, $2}'
}

found=$(targets) || fail "this checkout has no fuzz targets, or git cannot look through it"

ran=0
failed=()
while read -r package target; do
	[[ $# -eq 0 || " $* " == *" $target "* ]] || continue
	ran=$((ran + 1))
	say "fuzz: $target in $package for ${FUZZTIME:-30s}"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" "$package" </dev/null || failed+=("$target")
done <<<"$found"
[[ $ran -gt 0 ]] || fail "no fuzz target is called $*"
[[ ${#failed[@]} -eq 0 ]] || fail "found something: ${failed[*]}"
