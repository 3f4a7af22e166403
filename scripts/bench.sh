#!/usr/bin/env bash
# Measures: Go's benchmarks of single functions, then the table that compares our work with our peers'.
#
# BENCH chooses parts, with commas between them: go (the benchmarks of functions), and those of test/bench: start, save,
# cli, disk, appliance, nbd, many. All by default.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# functions runs every package's Go benchmarks.
functions() {
	local -a packages
	mapfile -t packages < <(git grep --untracked -l -E '^func Benchmark' -- '*_test.go' | xargs -r dirname | sort -u)
	[[ ${#packages[@]} -eq 0 ]] || go test -p 1 -run '^$' -bench . -benchmem "${packages[@]/#/./}"
}

# strip prints a list without one of its words.
strip() { tr ',' '\n' <<<"$1" | grep -v -x "$2" | paste -sd ',' || true; }

parts=${BENCH:-}
if [[ -z $parts || ,$parts, == *,go,* ]]; then
	functions
fi
parts=$(strip "$parts" go)
if [[ -z ${BENCH:-} || -n $parts ]]; then
	# Built first: go run would stand between us and a ^C.
	go build -o build/bench ./test/bench
	exec build/bench -only "$parts"
fi
