# shellcheck shell=bash
# What the scripts share: words for people, and an environment in which go works. To be sourced.

# say prints a line about what is done; warn and fail go to standard error, and fail ends the script.
say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
fail() {
	warn "${0##*/}: $*"
	exit 1
}

# CI systems and containers may run without HOME, which go needs for its caches.
if [[ -z ${HOME:-} ]]; then
	HOME=$(getent passwd "$(id -u)" | cut -d: -f6 || true)
	[[ -n $HOME && -w $HOME ]] || HOME=$(mktemp -d -t panal-home.XXXXXX)
	export HOME
fi

# Distributions and the Go installer put go where a bare PATH does not look.
if ! command -v go >/dev/null && [[ -x /usr/local/go/bin/go ]]; then
	PATH=$PATH:/usr/local/go/bin
fi
export CGO_ENABLED=0

# A checkout that belongs to somebody else, as in a container, is one that git refuses to look at. Whoever runs its scripts
# has trusted it already.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD
