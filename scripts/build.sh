#!/usr/bin/env bash
# Builds bin/panal: static, without the builder's paths, with its version.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

[[ -d cmd/panal ]] || fail "cmd/panal is not in this checkout: there is no program to build"

version=${VERSION:-$(scripts/version.sh)}
# -s -w leave out symbol tables, a third of the size. The version comes from us, so go need not ask git, which refuses in
# a checkout that belongs to somebody else.
go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o bin/panal ./cmd/panal

# The linker says nothing when -X names a variable that is gone.
grep -qF -- "$version" bin/panal || fail "bin/panal does not carry its version: cmd/panal no longer has the variable main.version"
say "built bin/panal $version"
