#!/usr/bin/env bash
# Builds the guests that tests boot. What is there already, of the same recipe and packages, is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

[[ -d test/guests/cmd/guests ]] || fail "test/guests is not in this checkout: there are no recipes to build guests from"
go run ./test/guests/cmd/guests build all
