"""nginx and Caddy with the configurations that operators copy."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.serve.service import wait_for

CONFIGS = Path(__file__).parents[1] / "configs" / "proxies"


def nginx(folder: Path, port: int, upstream: int, streaming: int = 0) -> list[str]:
    """Return nginx's command with the configuration, on these ports, without TLS.

    `streaming` is the port of the archive's process, if it runs.
    """
    site = _site("nginx.conf", streaming)
    site = "\n".join(line for line in site.splitlines() if "ssl_cert" not in line)
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = site.replace("stems.example.com", "localhost")
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{name}_temp_path {folder}/{name};" for name in places)
    config = folder / "nginx.conf"
    # The workers' user can't write to a directory of root's.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{site}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(config)]


def caddy(folder: Path, port: int, upstream: int, streaming: int = 0) -> list[str]:
    """Return Caddy's command with the configuration, as `nginx` does."""
    site = _site("Caddyfile", streaming)
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = site.replace("stems.example.com", f"http://localhost:{port}")
    config = folder / "Caddyfile"
    config.write_text(f"{{\n\tadmin off\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


def _site(name: str, streaming: int) -> str:
    """Return a configuration, with the lines for the archive if its process runs."""
    lines = (CONFIGS / name).read_text().splitlines()
    if streaming:
        [above] = [n for n, line in enumerate(lines) if "With the archive" in line]
        for number in count(above + 1):
            if not lines[number].lstrip().startswith("#"):
                break
            lines[number] = lines[number].replace("# ", "", 1)
    return "\n".join(lines).replace("127.0.0.1:8001", f"127.0.0.1:{streaming}")


@contextmanager
def running(command: list[str], folder: Path, alive: str) -> Iterator[None]:
    """Run a proxy until the block ends; the URL `alive` tells when it has begun."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with (folder / "log").open("wb") as log:
        # Caddy keeps its state there.
        places = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **places}
        )
    try:
        wait_for(lambda: process.poll() is not None or is_there(alive), 20)
        assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def is_there(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
