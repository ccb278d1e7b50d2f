#!/bin/bash
# Makes .venv and installs the project into it.   venv.sh run: what users get.   venv.sh dev: and the test tools.
# A stamp keyed by pyproject.toml makes later calls instant. PYTHON=/path/to/python chooses another interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:?run or dev}
case $what in
    run) target=. ;;
    dev) target='.[dev]' ;;
    *) echo "venv.sh: say run or dev" >&2; exit 2 ;;
esac

fail() { printf '%s\n' "$@" >&2; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
        if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "streamferry needs Python 3.11 or newer; here is $("${PYTHON:-python3}" --version 2>&1 || echo 'none')." \
        "Install one, or name it: PYTHON=/path/to/python3.11 make ..."
}

make_venv() {
    local python
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian keeps these in a package of their own.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            echo 'python3-venv is missing: installing it'
            scripts/apt.sh python3-venv
        fi
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            fail "$python cannot make virtual environments. As root: apt-get install python3-venv"
    fi
    echo 'making .venv'
    rm -rf .venv
    "$python" -m venv .venv
}

if ! [ -x .venv/bin/python ] || ! new_enough .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    make_venv
fi

# The checkout's place counts too: an editable install in a directory that was moved or copied points elsewhere.
stamp=$({ cat pyproject.toml; pwd; .venv/bin/python --version; } | sha256sum | cut -d' ' -f1)
if [ "$(cat ".venv/.installed-$what" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
echo "installing $target into .venv"
# What is imported is compiled then: all of it would be 40 s of CPU, and little of it is.
.venv/bin/python -m pip install -qq --no-compile --disable-pip-version-check --no-input --editable "$target" ||
    fail 'pip could not install the project: its message is above. A package index must be reachable the first time.'
echo "$stamp" >".venv/.installed-$what"
if [ "$what" = dev ]; then
    echo "$stamp" >.venv/.installed-run
fi
