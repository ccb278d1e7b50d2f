#!/bin/bash
# Makes an OCI image of the service without a daemon and without a registry: Debian's packages, the packages of
# deploy/requirements.lock by their hashes, and the wheel. As root on Debian 12, with mmdebstrap and umoci installed.
#   scripts/image.sh [FILE]      build/streamferry-image.tar by default
#   podman load -i FILE     or     skopeo copy oci-archive:FILE docker://registry.example.com/streamferry:TAG
# What runs in it is what deploy/Dockerfile says, of which it takes the packages, the variables, user and command.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(realpath -m "${1:-build/streamferry-image.tar}")
for tool in mmdebstrap umoci; do
    command -v "$tool" >/dev/null || { echo "image.sh: $tool is missing: apt-get install mmdebstrap umoci" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo 'image.sh: a root file system is made by root' >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

of() { sed -n "s/^$1 //p" deploy/Dockerfile | tail -n 1; }
packages=$(sed -n 's/.*--no-install-recommends \([a-z0-9. -]*\) &&.*/\1/p' deploy/Dockerfile | tr ' ' ',')
mmdebstrap --quiet --mode=root --variant=minbase --include="ca-certificates,python3,python3-venv,$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' bookworm "$root"

# The wheel and what it needs, made by the pip of the root, whose Python it will run with.
cp -r pyproject.toml README.md LICENSE src "$root/root/"
cp deploy/build.lock deploy/requirements.lock "$root/root/"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# Whom this machine trusts, for as long as packages are fetched.
cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/root/trusted.pem"
chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PIP_CERT=/root/trusted.pem \
    PIP_INDEX_URL="${PIP_INDEX_URL:-https://pypi.org/simple}" /bin/sh -eu -c '
    cd /root
    python3 -m venv build && build/bin/pip install -q --no-cache-dir --require-hashes -r build.lock
    python3 -m venv /opt/streamferry
    /opt/streamferry/bin/pip install -q --no-cache-dir --require-hashes -r requirements.lock
    build/bin/hatchling build -t wheel -d dist
    /opt/streamferry/bin/pip install -q --no-deps --no-index dist/*.whl
    useradd --system --uid 10001 --user-group streamferry
    install -d -o streamferry -m 700 /data
    /opt/streamferry/bin/streamferry version
    rm -rf /root/* /root/.cache /var/cache/apt/* /var/lib/apt/lists/*'
rm -f "$root/etc/resolv.conf"

settings=()
for setting in $(of ENV); do settings+=(--config.env="$setting"); done
umoci init --layout "$work/image"
umoci new --image "$work/image:latest"
umoci unpack --image "$work/image:latest" "$work/bundle" >/dev/null 2>&1
rmdir "$work/bundle/rootfs"
mv "$root" "$work/bundle/rootfs"
umoci repack --image "$work/image:latest" "$work/bundle" >/dev/null
json() { python3 -c 'import json, sys; print("\n".join(json.loads(sys.argv[1])))' "$1"; }
words=()
while read -r word; do words+=(--config.entrypoint="$word"); done < <(json "$(of ENTRYPOINT)")
while read -r word; do words+=(--config.cmd="$word"); done < <(json "$(of CMD)")
umoci config --image "$work/image:latest" --config.user=10001 --config.exposedports=8080 --config.volume=/data \
    --config.stopsignal="$(of STOPSIGNAL)" "${settings[@]}" "${words[@]}"
umoci gc --layout "$work/image" >/dev/null
mkdir -p "$(dirname "$out")"
tar -C "$work/image" -cf "$out" .
echo "$out"
