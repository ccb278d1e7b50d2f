#!/bin/bash
# What a stranger gets: a new clone of HEAD, an empty pip cache, make demo, make test.
set -euo pipefail
cd "$(dirname "$0")/.."

clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git clone --quiet . "$clone/streamferry"
export PIP_NO_CACHE_DIR=1
time make -C "$clone/streamferry" demo </dev/null
time make -C "$clone/streamferry" test </dev/null
