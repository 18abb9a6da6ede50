"""Run an image as Docker and Kubernetes would, and separate a song with it.

The root is read-only; the user and the command are the image's; the network has only
a loopback interface, so nothing can be downloaded.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import soundfile

from tools.image.building import Image, entering

RATE_HZ = 44_100
SONG_SECONDS = 20
STEMS = ("drums", "bass", "other", "vocals")
_START_SECONDS = 300
_STOP_SECONDS = 120
_OTHER_PORT = "9000"

# What KubeRay runs in a container: the start of a node, and its probe.
_KUBERAY = """set -e -o pipefail
ray start --head --num-cpus=1 --dashboard-host=127.0.0.1 >/tmp/start.log 2>&1 ||
    { cat /tmp/start.log; exit 1; }
python -c "import ray.autoscaler._private.kuberay.run_autoscaler"
wget --tries 20 --retry-connrefused -T 2 -q -O- \
    http://localhost:52365/api/local_raylet_healthz | grep success
ray stop >/dev/null
"""


class ImageFailed(Exception):
    """The image does not do what it must."""


@dataclass(frozen=True)
class Container:
    """An image with a directory for /data, in a network of its own."""

    image: Image
    data: Path
    network: str

    def command(self, words: Sequence[str], *, as_root: bool = False) -> list[str]:
        """Return the command that runs `words` in the container."""
        config = self.image.config
        user = [] if as_root else ["-u", config.user]
        start = entering(self.image.root, config, "-r", str(self.data), *user)
        return ["ip", "netns", "exec", self.network, *start, *words]

    def output(self, *words: str) -> str:
        """Run a command in the container, and return what it prints.

        Raises ImageFailed if it fails.
        """
        ended = subprocess.run(
            self.command(words), text=True, capture_output=True, check=False
        )
        if ended.returncode != 0:
            raise ImageFailed(f"{words} failed: {ended.stdout}{ended.stderr}")
        return ended.stdout.strip()

    def on_port(self, port: str) -> "Container":
        """Return the same container with `PORT` set."""
        config = self.image.config
        changed = replace(config, environment={**config.environment, "PORT": port})
        return replace(self, image=replace(self.image, config=changed))


@contextmanager
def container(image: Image, work: Path) -> Iterator[Container]:
    """Yield a container with an empty /data and a network with loopback only."""
    data = work / "data"
    data.mkdir(exist_ok=True)
    user, _, group = image.config.user.partition(":")
    os.chown(data, int(user), int(group))
    network = f"stemserve-image-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", network], check=True)
    try:
        subprocess.run(["ip", "-n", network, "link", "set", "lo", "up"], check=True)
        yield Container(image, data, network)
    finally:
        subprocess.run(["ip", "netns", "delete", network], check=True)


def check_contents(container: Container) -> None:
    """Check the user, the read-only root, and the programs that KubeRay needs."""
    uid = container.output("id", "-u")
    if uid == "0":
        raise ImageFailed("The image runs as root.")
    written = "touch /data/a /tmp/a && ! touch /a && ! touch /opt/stemserve/a"
    container.output("sh", "-c", written)
    container.output("bash", "-c", _KUBERAY)
    versions = container.output("sh", "-c", "echo $(python --version; ray --version)")
    print(f"user {uid}; only /data and /tmp are writable; {versions}")


def check_service(container: Container) -> None:
    """Start the image's command, separate and analyse a song, and stop it."""
    _write_song(container.data / "song.wav")
    port = container.image.config.environment["PORT"]
    song = ("/data/song.wav", "--server", f"http://127.0.0.1:{port}")
    with _serving(container):
        container.output("stemserve", "separate", *song, "--out", "/data/stems")
        found = container.output("stemserve", "analyze", *song)
    for stem in STEMS:
        path = container.data / "stems" / "song" / f"{stem}.wav"
        if soundfile.info(path).frames != SONG_SECONDS * RATE_HZ:
            raise ImageFailed(f"{path} is not as long as the song.")
    print(f"separated and analysed a song of {SONG_SECONDS} s:\n{found}")
    with _serving(container.on_port(_OTHER_PORT)):
        print(f"PORT={_OTHER_PORT} sets the port")


@contextmanager
def _serving(container: Container) -> Iterator[None]:
    """Run the image's command until the block ends; the health check must succeed."""
    config = container.image.config
    command = container.command([*config.entrypoint, *config.command])
    started = time.monotonic()
    with subprocess.Popen(command) as process:
        try:
            _wait_until_healthy(container, process)
            print(f"healthy after {time.monotonic() - started:.0f} s")
            yield
        finally:
            # Of `unshare`, which does not pass signals on, to the container's first.
            for first in psutil.Process(process.pid).children():
                first.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
    if process.returncode != 0:
        raise ImageFailed(f"The server exited with status {process.returncode}.")


def _wait_until_healthy(container: Container, process: subprocess.Popen[bytes]) -> None:
    health = container.command(container.image.config.healthcheck)
    ends = time.monotonic() + _START_SECONDS
    while subprocess.run(health, check=False, capture_output=True).returncode != 0:
        if process.poll() is not None:
            raise ImageFailed(f"The server exited with status {process.returncode}.")
        if time.monotonic() > ends:
            raise ImageFailed(f"The server was not healthy within {_START_SECONDS} s.")
        time.sleep(1)


def _write_song(path: Path) -> None:
    """Write a chord of A minor with clicks at 120 BPM."""
    time_seconds = np.arange(SONG_SECONDS * RATE_HZ) / RATE_HZ
    chord = sum(np.sin(2 * np.pi * hz * time_seconds) for hz in (220, 262, 330))
    noise = np.random.default_rng(0).standard_normal(time_seconds.size)
    clicks = noise * np.exp(-60 * (time_seconds % 0.5))
    soundfile.write(path, 0.1 * chord + 0.2 * clicks, RATE_HZ)
