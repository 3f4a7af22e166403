#!/usr/bin/env bash
# Runs the tests, whole: unit, suites, stories, real guests. Arguments go to go test, such as -short or -run.
#
# Two packages are tested at a time, however many processors there are: a package that boots guests under binary translation
# uses all it gets, and guests that starve each other run into their deadlines. The two that take longest come first, side
# by side, so that neither is left over in the end with a processor idle. What go vet finds, lint has found before.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

mkdir -p build
readonly log=build/test.log

# failures prints what failed, once more and together: in a long run it stands far above.
failures() {
	printf '\nWhat failed (all of it is in %s):\n' "$log"
	grep -a -E '^ *--- FAIL:|^FAIL[[:space:]]+[^[:space:]]|^panic:' "$log" || say "  go test itself: see the lines above"
}

# slowest prints the packages that took longest, so that a growing run is noticed where it grows.
slowest() {
	printf '\nThe slowest packages:\n'
	awk '/^(ok|FAIL)[[:space:]]/ && $3 ~ /^[0-9.]+s$/ {printf "%9.1f s  %s\n", $3, $2}' "$log" | sort -rn | head -n 8
}

readonly longest=(./test/stories ./test/crash)

status=0
go test -p 2 -vet=off -timeout 25m "$@" "${longest[@]}" ./... 2>&1 | tee "$log" || status=$?
slowest
if [[ $status -ne 0 ]]; then
	failures
fi
exit "$status"
