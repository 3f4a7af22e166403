#!/usr/bin/env bash
# Looks at the sources without running them, and says everything that is wrong at once. With --fix it rewrites what
# gofumpt would write otherwise, and does nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

tool() { go tool -modfile=tools/go.mod "$@"; }

# sources PATTERN... prints the files git knows or would add, so that neither build output nor caches are looked at.
sources() {
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		[[ ! -e $file ]] || echo "$file"
	done
}

go_sources() { sources '*.go' | grep -v '/testdata/'; }

# Scripts are known by their first line, whatever they are called.
shell_sources() { sources | xargs -d '\n' awk 'FNR == 1 && /^#!.*[\/ ](ba)?sh$|^# shellcheck shell=/ {print FILENAME} {nextfile}'; }

check_format() {
	local files unformatted
	files=$(go_sources) || return 1
	unformatted=$(xargs -d '\n' go tool -modfile=tools/go.mod gofumpt -l <<<"$files") || return 1
	[[ -z $unformatted ]] || {
		printf 'not as gofumpt writes it (make format rewrites it):\n%s\n' "$unformatted"
		return 1
	}
}

check_vet() { go vet ./...; }

check_static() { tool staticcheck ./...; }

check_modules() {
	tidy . && tidy tools
}

# tidy DIR compares a go.mod with what go mod tidy would write. The checksums that follow the differences are no help.
tidy() {
	local difference
	difference=$(go -C "$1" mod tidy -diff 2>&1) || {
		printf "%s/go.mod is not tidy (go -C %s mod tidy):\n%s\n" "$1" "$1" "${difference%%diff current/go.sum*}"
		return 1
	}
}

check_shell() {
	local files
	if ! command -v shellcheck >/dev/null; then
		say "shellcheck is not installed: make deps installs it"
		[[ ${CI:-} != true ]]
		return
	fi
	files=$(shell_sources) || return 1
	xargs -d '\n' shellcheck -x <<<"$files"
}

if [[ ${1:-} == --fix ]]; then
	go_sources | xargs -d '\n' go tool -modfile=tools/go.mod gofumpt -w
	exit
fi

failed=()
for check in format vet static modules shell; do
	say "lint: $check"
	"check_$check" || failed+=("$check")
done
[[ ${#failed[@]} -eq 0 ]] || fail "failed: ${failed[*]}"
say "lint: clean"
