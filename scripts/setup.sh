#!/bin/sh
# Create a virtual environment with the packages of a lock file, and this package in
# editable mode. Usage: scripts/setup.sh VENV LOCK
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
    echo "stemserve needs Python 3.11 to 3.14, found none. On Debian: apt-get install python3" >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    # Debian packages venv separately.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends python3-venv
    else
        echo "Python's venv module is missing. On Debian: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi

echo "Setting up $venv from $lock; the first time takes a few minutes and about 5 GB"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# Not the scripts in bin/: their first line can't hold a path with spaces.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$venv/bin/python" -m uv pip install --quiet --python "$venv/bin/python" -r "$lock"
"$venv/bin/python" -m uv pip install --quiet --python "$venv/bin/python" --no-deps -e .
