"""Time until a song's first window is stored, relative to a window's compute time.

    python benchmarks/first_audio.py [--model hdemucs_high_musdb_plus] [--rounds 5]

A job runs from its original in a directory to its stems, with random weights of full
size. It measures when the first window of all stems is stored, and two compute times:
the engine's time for a song divided by its number of windows, and the engine's time for
a single window.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from benchmarks import contenders, service  # noqa: E402
from benchmarks.engine import machine  # noqa: E402
from serve_app.audio.limits import AudioLimits  # noqa: E402
from serve_app.audio.measure import measure  # noqa: E402
from serve_app.separation import allocator  # noqa: E402
from serve_app.separation.backends import choice  # noqa: E402
from serve_app.separation.backends.port import BackendOptions  # noqa: E402
from serve_app.separation.engine import Engine, MixStatistics  # noqa: E402
from serve_app.separation.models import ModelSpec, find  # noqa: E402
from serve_app.separation.threads import run_in_new_thread  # noqa: E402
from serve_app.separation.windows import plan  # noqa: E402
from serve_app.stems.request import Stage  # noqa: E402
from serve_app.stems.work import SongWorker  # noqa: E402
from serve_app.storage.local import LocalStorage  # noqa: E402
from tests.jobs import asking, new_job, with_audio  # noqa: E402
from tests.networks import OneEngine  # noqa: E402


class Watched(LocalStorage):
    """A directory that remembers when its first part was stored."""

    first_window_at: float | None = None

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store a file."""
        super().put(key, path, synced=synced)
        is_window = key.startswith("parts/") and key.endswith(".npy")
        if is_window and self.first_window_at is None:
            self.first_window_at = time.perf_counter()


def loaded(spec: ModelSpec, options: argparse.Namespace) -> Engine:
    """Return the engine with random weights."""
    wanted = BackendOptions(
        *("cpu", options.runtime, options.precision, options.threads),
        cache_dir=contenders.CACHE,
    )
    window = spec.window.window_samples
    backend = run_in_new_thread(
        lambda: choice.make(contenders.network(spec), window, wanted)
    )
    return Engine(spec, backend)


def engine_seconds(engine: Engine, samples: int) -> float:
    """Return the seconds that the engine alone takes for a song of `samples`."""
    mix = contenders.song(samples / contenders.RATE)
    began = time.perf_counter()
    stems = engine.separate(
        contenders.blocks(mix),
        MixStatistics(samples, 0.0, 0.15),
        on_progress=lambda *_: None,
        cancelled=Event(),
    )
    for _ in stems:
        pass
    return time.perf_counter() - began


def measured(options: argparse.Namespace) -> dict[str, float]:
    """Return the medians in seconds."""
    spec = find(options.model)
    samples = round(options.seconds * contenders.RATE)
    windows = len(plan(samples, spec.window))
    found: dict[str, list[float]] = {"first": [], "share": [], "alone": []}
    with loaded(spec, options) as engine, tempfile.TemporaryDirectory() as place:
        song = Path(place) / "song.mp3"
        service.write_song(song, options.seconds)
        engine.warm_up()
        for number in range(options.rounds):
            storage = Watched(Path(place) / f"files-{number}")
            found["first"].append(first_window_seconds(engine, storage, song))
            found["share"].append(engine_seconds(engine, samples) / windows)
            one = spec.window.window_samples
            found["alone"].append(engine_seconds(engine, one))
    return {name: statistics.median(each) for name, each in found.items()}


def first_window_seconds(engine: Engine, storage: Watched, song: Path) -> float:
    """Run a job; return how long after its start its first window was stored."""
    facts = measure(song, AudioLimits(24 * 3600))
    copy = song.with_name("copy")
    copy.write_bytes(song.read_bytes())
    storage.put("originals/a", copy)
    job = with_audio(new_job(attempt=1), facts)
    wanted = replace(job.request.options, stems=engine.spec.sources)
    worker = SongWorker(OneEngine(engine), storage, song.with_name("work"))
    began = time.perf_counter()

    def progress(_: Stage, __: float) -> None:
        pass

    worker.run(asking(job, options=wanted), progress, Event())
    if storage.first_window_at is None:
        raise RuntimeError("no window was stored")
    return storage.first_window_at - began


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="hdemucs_high_musdb_plus")
    parser.add_argument("--runtime", default="openvino", choices=["torch", "openvino"])
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=120.0, help="of the song")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    found: list[Any] = []
    # As in a replica, the song is processed in a thread other than the main one.
    thread = Thread(target=lambda: found.append(measured(options)))
    thread.start()
    thread.join()
    (seconds,) = found
    print(f"{options.model}, {options.runtime} {options.precision}, {machine()}")
    print(f"first window stored after {seconds['first']:.2f} s")
    for name, says in (("share", "a window's share of"), ("alone", "one window alone")):
        ratio = seconds["first"] / seconds[name]
        print(f"  {ratio:.2f} times {says:20} {seconds[name]:.2f} s")


if __name__ == "__main__":
    allocator.restart_tuned()
    main(sys.argv[1:])
