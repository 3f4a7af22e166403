#!/usr/bin/env bash
# Prints the version to stamp into the binary: git's description of the commit if there is a tag to count from, otherwise
# the newest version in CHANGELOG.md with the commit, otherwise (no git, as in a source archive) the newest version alone.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# The first heading such as "## 1.2.3 - 2026-01-31"; 0.0.0 before the first release.
released() {
	local version
	version=$(sed -n -E 's/^## \[?v?([0-9]+\.[0-9]+\.[0-9]+[^] ]*).*/\1/p' CHANGELOG.md 2>/dev/null | head -n 1)
	echo "${version:-0.0.0}"
}

if tagged=$(git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null); then
	echo "${tagged#v}"
elif commit=$(git describe --always --dirty 2>/dev/null); then
	echo "$(released)-dev+${commit//-/.}"
else
	released
fi
