"""Jobs for the player: their stems as bytes, and their waveforms."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from threading import Condition
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.waveform import Waveform, WaveformListener
from serve_app.audio.encode import Encoder
from serve_app.audio.formats import parse
from serve_app.audio.wave import FLOAT32, WavForm
from serve_app.jobs.job import State
from serve_app.stems.live_playback import Follower
from serve_app.stems.request import Result, StemFile
from serve_app.storage.local import LocalStorage
from tests.jobs import asking, new_job

Samples = NDArray[np.float32]

RATE = 44_100
# Low, and with the edges of a beat in it: each stem has its own sound.
_HERTZ = {"vocals": 523.25, "drums": 61.0, "bass": 82.4, "other": 329.6}


@dataclass(frozen=True)
class Content:
    """Bytes that are read by range; `read(start, end)` returns them."""

    size: int
    read: Callable[[int, int], bytes]


def content(data: bytes) -> Content:
    """Return bytes in memory as content."""
    return Content(len(data), lambda start, end: data[start:end])


@dataclass
class Growing:
    """How many samples of a running job's stems exist."""

    samples: int
    changed: Condition = field(default_factory=Condition)

    def grow(self, samples: int) -> None:
        """Have this many samples from now on."""
        with self.changed:
            self.samples = samples
            self.changed.notify_all()

    def wait_for(self, samples: int) -> bool:
        """Wait until there are this many samples; False after 30 seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: self.samples >= samples, 30)


@dataclass
class FakeJob:
    """A job as `GET /job/{id}` returns it, its stems, playbacks and waveforms."""

    view: dict[str, Any]
    stems: Mapping[str, Content]
    playbacks: Mapping[str, Content]
    waveforms: Mapping[str, Callable[[], Waveform]]
    growing: Growing | None = None


def song(seconds: float, rate: int = RATE, seed: int = 1) -> dict[str, Samples]:
    """Return four stems (2, samples) with beats, each below a quarter of full scale."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    beat = np.exp(-8 * (time % 0.5))
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * time / 7)
    shapes = {"vocals": swell, "drums": beat, "bass": 0.6 + 0.4 * beat, "other": swell}
    return {
        name: _stem(random, time, shapes[name], hertz) for name, hertz in _HERTZ.items()
    }


def _stem(
    random: np.random.Generator, time: NDArray[Any], shape: NDArray[Any], hertz: float
) -> Samples:
    noise = random.normal(0, 0.02, (2, len(time)))
    tone = 0.15 * np.sin(2 * np.pi * hertz * time) * shape
    sound: Samples = np.clip(tone + noise * shape, -0.25, 0.25).astype(np.float32)
    return sound


def analysis(seconds: float, bpm: float = 120.0) -> dict[str, Any]:
    """Return an analysis with a steady beat in four, and three sections."""
    beats = np.arange(0, seconds, 60 / bpm).round(3).tolist()
    third = seconds / 3
    return {
        "bpm": bpm,
        "bpm_confidence": 0.97,
        "bpm_alternatives": [{"bpm": bpm / 2, "share": 0.02}],
        "beats": beats,
        "downbeats": beats[::4],
        "meter": 4,
        "key": "A minor",
        "camelot": "8A",
        "key_confidence": 0.9,
        "sections": [
            {
                "start_seconds": round(number * third, 3),
                "end_seconds": round((number + 1) * third, 3),
                "label": label,
                "energy": 0.5,
            }
            for number, label in enumerate("ABA")
        ],
    }


def written(samples: Samples, format: str, rate: int, folder: Path) -> bytes:
    """Return a stem as the service writes it."""
    path = folder / f"stem.{format}"
    encoder = Encoder(path, parse(format), rate)
    encoder.write(samples)
    encoder.close()
    return path.read_bytes()


def playback(samples: Samples, rate: int, form: WavForm = FLOAT32) -> bytes:
    """Return a stem as the playback of a running job sends it."""
    return form.header(samples.shape[1], rate) + form.data(samples)


def completed_playback(
    file: bytes, format: str, samples: int, rate: int, gain: float, folder: Path
) -> bytes:
    """Return a stored stem as the playback of its job sends it."""
    stem = StemFile("stem", "stems/stem", "stem", len(file), "", "")
    job = new_job(state=State.SUCCEEDED, result=Result("demo", (stem,), gain))
    source = replace(job.request.source, samples=samples, sample_rate=rate)
    options = replace(job.request.options, format=format)
    job = asking(job, source=source, options=options)
    storage, path = LocalStorage(folder / "stored"), folder / "copy"
    path.write_bytes(file)
    storage.put(stem.key, path)
    return b"".join(Follower(lambda: job, storage, stem.name, FLOAT32).chunks())


def waveform(samples: Samples, rate: int) -> Waveform:
    """Return a stem's waveform."""
    listener = WaveformListener(rate)
    listener.add(samples)
    return listener.end()


def job_of(
    stems: Mapping[str, Samples],
    folder: Path,
    format: str = "wav",
    rate: int = RATE,
    gain: float = 1.0,
) -> FakeJob:
    """Return a completed job. `gain` is in the stored files, and not in playbacks."""
    job_id = uuid4().hex
    length = next(iter(stems.values())).shape[1]
    stored = {
        name: written(samples * np.float32(gain), format, rate, folder)
        for name, samples in stems.items()
    }
    files = {name: content(each) for name, each in stored.items()}
    view = {
        "job_id": job_id,
        "status": "completed",
        "progress": 100.0,
        "filename": "song.mp3",
        "format": format,
        "duration": length / rate,
        "sample_rate": rate,
        "gain": gain,
        "options": {"stems": list(stems), "format": format},
        "analysis": analysis(length / rate),
        "stems": {
            name: {
                "filename": f"song_{name}.{format}",
                "size": file.size,
                "download_url": f"/job/{job_id}/stems/{name}",
            }
            for name, file in files.items()
        },
    }
    playbacks = {
        name: content(completed_playback(file, format, length, rate, gain, folder))
        for name, file in stored.items()
    }
    waveforms = {
        name: cache(partial(waveform, samples, rate)) for name, samples in stems.items()
    }
    return FakeJob(json.loads(json.dumps(view)), files, playbacks, waveforms)


def running(job: FakeJob, stems: Mapping[str, Samples], ready_samples: int) -> FakeJob:
    """Return the same job while it runs, with so many samples of its stems done."""
    done = ready_samples / (job.view["duration"] * job.view["sample_rate"])
    view = {
        **job.view,
        "job_id": uuid4().hex,
        "status": "processing",
        "progress": round(100 * done, 1),
        "stems": None,
        "gain": None,
        "analysis": None,
    }
    rate = job.view["sample_rate"]
    playbacks = {
        name: content(playback(samples, rate)) for name, samples in stems.items()
    }
    return FakeJob(view, {}, playbacks, {}, Growing(ready_samples))
