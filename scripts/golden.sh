#!/usr/bin/env bash
# Renews golden files, by running with -update the tests of those packages that define it. Read the diff before committing it.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

mapfile -t packages < <(git grep --untracked -l -E 'flag\.Bool(Var)?\(.*"update"' -- '*_test.go' | xargs -r dirname | sort -u)
[[ ${#packages[@]} -gt 0 ]] || fail "no test defines the flag -update"
go test -count 1 "${packages[@]/#/./}" -update
git status --short -- '*testdata*'
