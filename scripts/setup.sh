#!/bin/sh
# Make a virtual environment with exactly what a lock file names, and this package in
# it, editable. Usage: scripts/setup.sh VENV LOCK
set -eu
venv=$1
lock=$2

python=""
for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c \
        'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "stemserve needs Python 3.11 to 3.14; on Debian: apt-get install python3" >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    # Debian splits venv from Python.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends python3-venv
    else
        echo "Python's venv module is missing; on Debian: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi

echo "Setting up $venv with $lock: a few minutes and some 5 GB the first time"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# Not the scripts in bin/, whose first line can't hold a path with blanks.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$venv/bin/python" -m uv pip install --quiet --python "$venv/bin/python" -r "$lock"
"$venv/bin/python" -m uv pip install --quiet --python "$venv/bin/python" --no-deps -e .
