#!/usr/bin/env bash
# Installs what the tests need, where it is missing and can be had: Debian packages, as root. What cannot
# be installed is named, and the tests that need it say so themselves.
set -euo pipefail

missing=()
command -v bwrap >/dev/null || missing+=(bubblewrap)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql)
command -v git >/dev/null || missing+=(git ca-certificates)
command -v cc >/dev/null || command -v gcc >/dev/null || missing+=(gcc libc6-dev)
# The official clients of compat/ are installed by its own tests, with these.
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v python3 >/dev/null || missing+=(python3)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
	if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		root=(sudo -n)
	else
		echo "prepare: not root, so these are not installed: ${missing[*]}"
		exit 0
	fi
fi
if ! command -v apt-get >/dev/null; then
	echo "prepare: no apt-get, so these are not installed: ${missing[*]}"
	exit 0
fi

echo "prepare: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for try in 1 2 3; do
	if "${root[@]}" apt-get -qq update >"$log" 2>&1 &&
		"${root[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
		exit 0
	fi
	echo "prepare: try $try failed"
	sleep $((try * 3))
done
tail -n 20 "$log"
echo "prepare: going on without ${missing[*]}"
