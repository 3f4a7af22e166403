#!/usr/bin/env bash
# Runs the tests, whole: unit, suites, stories, real guests. Arguments go to go test, such as -short or -run.
#
# Two packages are tested at a time, however many processors there are: a package that boots guests under binary translation
# uses all it gets, and guests that starve each other run into their deadlines. The two that take longest come first, side
# by side, so that neither is left over in the end with a processor idle. What go vet finds, lint has found before.
#
# What fails is run once more, alone. A test that passes then has met a race, of its own or of what it tests, or an emulated
# guest that hung: it does not hold a change up, but it is named at the end, as something to be looked into. More than a few
# failures are no accident, and nothing is run again.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

mkdir -p build
readonly log=build/test.log events=build/test.json again=build/test.again
readonly longest=(./test/stories ./test/crash)

# unsteady names the tests that failed, and passed when they were run again. Without a failure there is no report.
unsteady() {
	[[ -s $again ]] || return 0
	local names
	names=$(awk '$2 > $4 {sub(/:$/, "", $1); print "  " $1}' "$again")
	[[ -z $names ]] || printf '\nFailed, then passed alone: a race to be looked into (see %s):\n%s\n' "$log" "$names"
}

# cut_off names the packages whose tests were not all heard of: those whose program was killed, or ended by itself. What it had yet
# to run was run by nobody, and that what failed passes when it is run again says nothing of that.
cut_off() {
	awk -F '"' '
		$6 != "Action" {next}
		$14 == "Test" && $8 == "run" {begun[$12]++}
		$14 == "Test" && $8 ~ /^(pass|fail|skip)$/ {ended[$12]++}
		$14 == "Test" && $8 == "fail" {failed[$12]++}
		$14 != "Test" && $8 == "fail" {broken[$12]++}
		END {
			for (package in begun) if (begun[package] != ended[package]) print "  " package
			for (package in broken) if (!failed[package] && begun[package] == ended[package]) print "  " package
		}' "$events"
}

# slowest prints the packages that took longest, so that a growing run is noticed where it grows.
slowest() {
	printf '\nThe slowest packages:\n'
	sed -n -E '/"Test":/!s/.*"Action":"(pass|fail)".*"Package":"([^"]+)","Elapsed":([0-9.]+).*/\3 \2/p' "$events" |
		sort -rn | head -n 8 | awk '{printf "%9.1f s  %s\n", $1, $2}'
}

rm -f "$again" "$events"
status=0
go tool -modfile=tools/go.mod gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg --hide-summary skipped --no-color --jsonfile "$events" \
	--rerun-fails=1 --rerun-fails-max-failures=6 --rerun-fails-report "$again" \
	--packages "${longest[*]} ./..." -- -count=1 -p 2 -vet=off -timeout 25m "$@" 2>&1 | tee "$log" || status=$?
slowest
unsteady
unheard=$(cut_off)
if [[ -n $unheard ]]; then
	printf '\nEnded before all their tests had (see %s):\n%s\n' "$log" "$unheard"
	status=1
fi
exit "$status"
