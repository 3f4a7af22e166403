#!/usr/bin/env bash
# Measures: Go's benchmarks of single functions, then the table that compares our work with our peers'.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

mapfile -t packages < <(git grep --untracked -l -E '^func Benchmark' -- '*_test.go' | xargs -r dirname | sort -u)
if [[ ${#packages[@]} -gt 0 ]]; then
	go test -p 1 -run '^$' -bench . -benchmem "${packages[@]/#/./}"
fi
[[ -d test/bench ]] || fail "test/bench is not in this checkout: there is no comparison with peers to run"
go run ./test/bench
