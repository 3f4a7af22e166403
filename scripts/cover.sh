#!/usr/bin/env bash
# Measures what the tests reach, across packages: a line counts wherever the test that runs it stands. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

mkdir -p build
go test -p 2 -timeout 15m -coverpkg=./... -coverprofile=build/cover.out "$@" ./...
go tool cover -html=build/cover.out -o build/cover.html
go tool cover -func=build/cover.out | tail -n 1
say "line by line: build/cover.html"
