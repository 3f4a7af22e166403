#!/usr/bin/env bash
# Installs bin/panal below DESTDIR and PREFIX, with its systemd units, shell completions and manual pages. It starts nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

readonly prefix=${PREFIX:-/usr/local}
readonly root=${DESTDIR:-}$prefix

[[ -x bin/panal ]] || fail "bin/panal is not built: run make build"

# The units name the binary where a distribution's package would put it.
install_unit() {
	mkdir -p "$(dirname "$2")"
	sed "s|/usr/bin/panal|$prefix/bin/panal|" "$1" >"$2"
	chmod 0644 "$2"
}

install_completion() {
	mkdir -p "$(dirname "$2")"
	bin/panal completion "$1" >"$2"
}

install -D -m 0755 bin/panal "$root/bin/panal"
for unit in dist/systemd/{system,user}/*; do
	install_unit "$unit" "$root/lib/${unit#dist/}"
done
install -D -m 0644 -t "$root/lib/sysusers.d" dist/sysusers.d/panal.conf
install_completion bash "$root/share/bash-completion/completions/panal"
install_completion zsh "$root/share/zsh/site-functions/_panal"
install_completion fish "$root/share/fish/vendor_completions.d/panal.fish"
mkdir -p "$root/share/man/man1"
bin/panal man "$root/share/man/man1"
install -D -m 0644 -t "$root/share/doc/panal" LICENSE CHANGELOG.md

say "installed below $root"
if [[ -z ${DESTDIR:-} ]]; then
	say "for the system:  systemd-sysusers && systemctl daemon-reload && systemctl enable --now panal.socket panal.service"
	say "for one user:    systemctl --user daemon-reload && systemctl --user enable --now panal.socket"
fi
