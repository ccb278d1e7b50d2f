#!/bin/bash
# Pins what deployments install: each package with its version and the hashes of its files, of every platform and Python
# from 3.11 on. deploy/requirements.lock is the service with PostgreSQL and S3, deploy/build.lock what builds the wheel.
# Pins that still satisfy pyproject.toml stay; lock.sh --upgrade takes the newest, lock.sh --upgrade-package NAME of one.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install -qq --disable-pip-version-check 'uv>=0.5,<1'

export UV_CUSTOM_COMPILE_COMMAND='make lock'
pin() { "$tools/bin/uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 "$@"; }
pin --extra postgresql --extra s3 pyproject.toml --output-file deploy/requirements.lock "$@"
python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' |
    pin - --output-file deploy/build.lock "$@"
