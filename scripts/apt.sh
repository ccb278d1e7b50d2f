#!/bin/bash
# Installs Debian packages as root, quietly, without a terminal, and without starting the servers among them.
set -euo pipefail

# One at a time: what venv.sh lacks, and what tools.sh does, may be wanted at once.
exec 9<"$0"
flock 9
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=
cleanup() {
    rm -f "$log"
    if [ -n "$made_policy" ]; then rm -f "$policy"; fi
}
trap cleanup EXIT

# The tests run their own nginx; a system one on port 80 is not wanted, and its start may fail the installation.
if ! [ -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

apt() { apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1; }

# A failed update is not fatal: the lists there may do.
apt update || true
if ! apt install --yes --no-install-recommends "$@"; then
    cat "$log" >&2
    exit 1
fi
