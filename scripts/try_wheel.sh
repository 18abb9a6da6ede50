#!/bin/sh
# Build the wheel and use it like a new user: install it without the lock file, with the
# newest versions that pyproject.toml allows, in a new environment; then, in another
# directory, separate a song without a server and with one.
# Usage: scripts/try_wheel.sh [PYTHON]
set -eu
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
tools=$PWD/.venv/bin/python
work=$(mktemp -d)
server=""
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

run_uv() {
    "$tools" -m uv "$@" --quiet --no-config
}

run_uv build --wheel --out-dir "$work/dist"
run_uv venv --python "$python" "$work/venv"
run_uv pip install --python "$work/venv/bin/python" "$work"/dist/*.whl

# The caller's settings and this directory's modules must have no effect.
unset PYTHONPATH
for name in $(env | sed -n 's/^\(STEMSERVE_[A-Za-z_]*\)=.*/\1/p'); do unset "$name"; done
cd "$work"
export STEMSERVE_MODEL=demo STEMSERVE_DATA_DIR="$work/data"
PATH="$work/venv/bin:$PATH"

# Four seconds of a tone with noise.
python -c "
import numpy as np, soundfile
t = np.arange(4 * 44100) / 44100
song = 0.2 * np.sin(440 * t) + 0.05 * np.random.default_rng(0).standard_normal(t.size)
soundfile.write('song.wav', np.stack([song, song], 1), 44100)"
stemserve settings --config gpu >/dev/null
stemserve separate song.wav --out local --local

port=$(python -c "
import socket
with socket.create_server(('127.0.0.1', 0)) as listener: print(listener.getsockname()[1])")
stemserve serve --host 127.0.0.1 --port "$port" >server.log 2>&1 &
server=$!
export STEMSERVE_URL="http://127.0.0.1:$port"
python - <<'READY' || { cat server.log; exit 1; }
import os, sys, time
import httpx

for _ in range(600):
    try:
        if httpx.get(os.environ["STEMSERVE_URL"] + "/readyz").is_success:
            sys.exit()
    except httpx.TransportError:
        pass
    time.sleep(0.2)
sys.exit("the server was not ready within 2 minutes; its output:")
READY
stemserve separate song.wav --out served
python - <<'PAGE'
import os, re
import httpx

url = os.environ["STEMSERVE_URL"]
browser = httpx.Client(base_url=url, headers={"Accept": "text/html"})
page = browser.get("/", follow_redirects=True)
assert page.url.path == "/page", page.url
for path in re.findall(r'(?:href|src)="([^"]*)"', page.text):
    browser.get(path).raise_for_status()
PAGE
kill -TERM "$server"
wait "$server" || { cat server.log; echo "the server exited with an error" >&2; exit 1; }
server=""

for place in local served; do
    python -c "
import soundfile, sys
for stem in ('drums', 'bass', 'other', 'vocals'):
    assert soundfile.info(f'$place/song/{stem}.wav').frames == 4 * 44100, stem"
done
echo "the wheel works on $(python --version): separated a song with and without a server"
