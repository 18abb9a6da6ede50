"""Compare the whole service with the engine alone, and measure parallel songs.

    python benchmarks/service.py [--rounds 5] [--seconds 210] [--json FILE]

A server starts on a free port, with random weights of full size. The server and a
process with the same engine alternate on the same song, an mp3. The server's time is
from the first byte sent to the last byte of the fourth stem received. At the end,
several songs are sent at once.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import httpx  # noqa: E402
import torch  # noqa: E402

from benchmarks import contenders  # noqa: E402
from benchmarks.engine import Worker, machine  # noqa: E402
from serve_app.audio import formats  # noqa: E402
from serve_app.audio.encode import Encoder  # noqa: E402
from serve_app.separation.models import ModelSpec, find  # noqa: E402

WAIT_SECONDS = 30
READY_SECONDS = 180.0


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def write_weights(spec: ModelSpec, mirror: Path) -> None:
    """Write random weights to the mirror, in place of the published ones."""
    mirror.mkdir()
    state = contenders.network(spec).state_dict()
    torch.save(state, mirror / spec.weights.filename)


def write_song(path: Path, seconds: float) -> None:
    """Write the benchmark's song as an mp3."""
    encoder = Encoder(path, formats.parse("mp3"), contenders.RATE)
    for block in contenders.blocks(contenders.song(seconds)):
        encoder.write(block)
    encoder.close()


@contextmanager
def server(
    folder: Path, options: argparse.Namespace, tree: Path = ROOT
) -> Iterator[str]:
    """Run the service in a folder until the context exits; yield its address.

    `tree` is a checkout of the version to run.
    """
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "STEMSERVE_DATA_DIR": str(folder / "data"),
        "STEMSERVE_WEIGHTS_DIR": str(folder / "weights"),
        "STEMSERVE_WEIGHTS_MIRROR": str(folder / "mirror"),
        "STEMSERVE_MODEL": options.model,
        "STEMSERVE_RUNTIME": options.runtime,
        "STEMSERVE_PRECISION": options.precision,
        "STEMSERVE_THREADS": str(options.threads),
        "STEMSERVE_LOG_LEVEL": "WARNING",
        "STEMSERVE_MAX_UPLOAD_BYTES": str(2**30),
    }
    command = [sys.executable, "-m", "deployments", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], env=environment, cwd=tree
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _until_ready(url, process)
        yield url
    finally:
        # Not SIGINT: children of a background shell ignore it.
        process.send_signal(signal.SIGTERM)
        process.wait()


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"server exited code={process.returncode}")
        try:
            if httpx.get(f"{url}/health").json()["status"] == "ok":
                return
        except (httpx.HTTPError, KeyError, ValueError):
            pass
        time.sleep(0.5)
    raise RuntimeError(f"the server is not ready after {READY_SECONDS:.0f} s")


def sent(http: httpx.Client, song: Path, **fields: str) -> str:
    """Send a song, to be separated anew; return the path of its job."""
    with song.open("rb") as file:
        answer = http.post(
            "/separate",
            files={"file": file},
            data=fields,
            headers={"Cache-Control": "no-cache"},
        )
    return f"/job/{answer.raise_for_status().json()['job_id']}"


def separated(http: httpx.Client, place: str) -> dict[str, Any]:
    """Wait until a job is completed; return it. RuntimeError if it ends otherwise."""
    while True:
        answer = http.get(place, params={"wait": WAIT_SECONDS})
        job: dict[str, Any] = answer.raise_for_status().json()
        if job["status"] == "completed":
            return job
        if job["status"] in ("failed", "cancelled"):
            raise RuntimeError(job.get("error", job["status"]))


def download(http: httpx.Client, job: Mapping[str, Any]) -> None:
    """Download all stems of a job; RuntimeError if one has not its size."""
    for stem in job["stems"].values():
        got = http.get(stem["download_url"]).raise_for_status().content
        if len(got) != stem["size"]:
            raise RuntimeError(f"a stem has {len(got)} of {stem['size']} bytes")


def seconds_of(url: str, song: Path, stem_format: str) -> float:
    """Send a song, wait, download its stems; return the seconds."""
    with httpx.Client(base_url=url, timeout=600) as http:
        began = time.perf_counter()
        download(http, separated(http, sent(http, song, format=stem_format)))
        return time.perf_counter() - began


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return medians, and their ratios to the engine's."""
    spec = find(options.model)
    name = next(
        key
        for key, kind in contenders.BACKENDS.items()
        if kind == (options.runtime, options.precision)
    )
    with tempfile.TemporaryDirectory() as place:
        folder, song = Path(place), Path(place) / "song.mp3"
        if not spec.weights.is_bundled:
            write_weights(spec, folder / "mirror")
        write_song(song, options.seconds)
        alone = Worker(name, options, options.threads)
        times: dict[str, list[float]] = {"engine": [], "wav": [], "flac": []}
        with server(folder, options) as url, alone:
            seconds_of(url, song, "wav")
            for number in range(options.rounds):
                times["engine"].append(alone.ask("run"))
                times["wav"].append(seconds_of(url, song, "wav"))
                times["flac"].append(seconds_of(url, song, "flac"))
                print(number + 1, {k: round(v[-1], 2) for k, v in times.items()})
            at_once = [together(url, song, options.together) for _ in range(2)]
    medians = {key: statistics.median(each) for key, each in times.items()}
    return {
        **{f"{key}_seconds": value for key, value in medians.items()},
        "wav_over_engine": medians["wav"] / medians["engine"],
        "flac_over_engine": medians["flac"] / medians["engine"],
        "together_throughput": medians["wav"] * options.together / min(at_once),
    }


def together(url: str, song: Path, count: int) -> float:
    """Send a song `count` times at once; return the seconds until the last stem."""
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda _: seconds_of(url, song, "wav"), range(count)))
    return time.perf_counter() - began


def server_parser(description: str) -> argparse.ArgumentParser:
    """Return a command line's parser with the options of the measured server."""
    top = argparse.ArgumentParser(description=description)
    top.add_argument("--model", default="hdemucs_high_musdb_plus")
    top.add_argument("--runtime", default="openvino", choices=["torch", "openvino"])
    top.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    top.add_argument("--threads", type=int, default=os.cpu_count())
    return top


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = server_parser(__doc__.splitlines()[0])
    top.add_argument("--rounds", type=int, default=5)
    top.add_argument("--seconds", type=float, default=210.0, help="of the song")
    top.add_argument("--together", type=int, default=4, help="songs sent at once")
    top.add_argument("--json", type=Path, help="write the figures to this file")
    return top


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    options = parser().parse_args(arguments)
    found = measure(options)
    print(f"{options.model}, {options.runtime} {options.precision}, {machine()}")
    for name, value in found.items():
        print(f"{name:24} {value:8.3f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
