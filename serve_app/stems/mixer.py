"""Mixes rendered from the stored stems of a job."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.audio import formats
from serve_app.audio.decode import BLOCK_SAMPLES, read_blocks, regrouped
from serve_app.audio.encode import encoded_rate
from serve_app.audio.resample import exactly, resampled, resampled_samples
from serve_app.audio.stems import StemWriter, WrittenStems
from serve_app.errors import Cancelled
from serve_app.stems import mixes, reports, stem_tags
from serve_app.stems.mixes import Mix, MixRequest
from serve_app.storage.fetch import fetched
from serve_app.storage.port import Storage

Samples = NDArray[np.float32]


class Mixer:
    """Render mixes of jobs in `storage`, and store them there."""

    def __init__(self, storage: Storage, working_dir: Path) -> None:
        self._storage = storage
        self._working_dir = working_dir

    def mix(self, request: MixRequest, cancelled: Event) -> None:
        """Render and store a mix.

        Memory does not grow with the song. Raises FileLost, StorageUnavailable,
        UnreadableAudio, and Cancelled once `cancelled` is set.
        """
        job = request.job
        with ExitStack() as files:
            original = self._fetched(files, job.request.source.key, "mix-original")
            stems = self._stems(files, request)
            written = _render(request, stems, original.parent / "mix", cancelled)
            (path,) = written.paths.values()
            report = self._report(request)
            stem_tags.write({request.label: path}, original, job.request.source, report)
            self._store(request, path, written.gain)

    def _stems(
        self, files: ExitStack, request: MixRequest
    ) -> Sequence[tuple[Path, float]]:
        """Return copies of the stems that are heard, with their gains."""
        result = request.job.result
        return [
            (self._fetched(files, stem.key, f"mix-{stem.name}"), gain)
            for stem in (() if result is None else result.stems)
            if (gain := request.gains.get(stem.name)) is not None
        ]

    def _fetched(self, files: ExitStack, key: str, name: str) -> Path:
        copy = fetched(self._storage, key, self._working_dir, f"{name}-")
        return files.enter_context(copy)

    def _report(self, request: MixRequest) -> Mapping[str, Any] | None:
        try:
            return reports.stored(self._storage, request.job)
        except (FileNotFoundError, ValueError):
            # The mix then has neither tempo nor key.
            return None

    def _store(self, request: MixRequest, path: Path, gain: float) -> None:
        mix = Mix(
            request.id, request.format, request.filename, path.stat().st_size, gain
        )
        key = mixes.file_key(request.job.id, mix.id, mix.format)
        self._storage.put(key, path, synced=False)
        record = path.with_suffix(".json")
        record.write_text(json.dumps(asdict(mix)))
        key = mixes.record_key(request.job.id, mix.id)
        self._storage.put(key, record, synced=False)


def _render(
    request: MixRequest,
    stems: Sequence[tuple[Path, float]],
    directory: Path,
    cancelled: Event,
) -> WrittenStems:
    """Write the sum of stems to a file; one factor keeps it below full scale."""
    source, options = request.job.request.source, request.job.request.options
    stem_hz = encoded_rate(formats.parse(options.format), source.sample_rate)
    samples = resampled_samples(source.samples, source.sample_rate, stem_hz)
    directory.mkdir()
    with (
        ExitStack() as opened,
        StemWriter(
            directory,
            ("mix",),
            formats.parse(request.format),
            source.sample_rate,
        ) as writer,
    ):
        scaled = [
            _scaled(opened.enter_context(closing(read_blocks(path))), samples, gain)
            for path, gain in stems
        ]
        sums = (np.sum(blocks, axis=0) for blocks in zip(*scaled, strict=True))
        mix = resampled(sums, stem_hz, source.sample_rate)
        for block in exactly(mix, source.samples):
            if cancelled.is_set():
                raise Cancelled("The mix was cancelled.")
            writer.write(block[np.newaxis])
        return writer.finish()


def _scaled(blocks: Iterator[Samples], samples: int, gain: float) -> Iterator[Samples]:
    """Yield a stem times its gain, in blocks that are the same for all stems."""
    for block in regrouped(exactly(blocks, samples), BLOCK_SAMPLES):
        yield block * np.float32(gain)
