"""Analysis of stored songs and stems, and storage of the results."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from serve_app.analysis.waveform import PeaksListener, Pixels, Span
from serve_app.audio.decode import BLOCK_SAMPLES, opened
from serve_app.errors import Cancelled, InvalidInput
from serve_app.stems.reports import Request, report_key, waveform_key
from serve_app.storage.fetch import fetched
from serve_app.storage.port import Storage

if TYPE_CHECKING:
    from serve_app.analysis.song import Listener, SongListener, StemAnalysis

L = TypeVar("L", bound="Listener")
OnSamples = Callable[[int], None]


def _ignore(samples: int) -> None:
    """Do nothing with a number of samples."""


class Reporter:
    """Analyse songs and stems in `storage`, and store the reports there.

    `make_listener` makes the listener of a song from its sample rate and the weights of
    its channels. All methods raise FileLost, StorageUnavailable, UnreadableAudio, and
    Cancelled once `cancelled` is set.
    """

    def __init__(
        self,
        storage: Storage,
        working_dir: Path,
        make_listener: "Callable[[int, Sequence[float]], SongListener] | None" = None,
    ) -> None:
        self._storage = storage
        self._working_dir = working_dir
        self._make_listener = make_listener

    def of_song(
        self, request: Request, cancelled: Event, on_samples: OnSamples = _ignore
    ) -> Mapping[str, Any]:
        """Return the full analysis of a song, and store it if it has a place."""
        # Imported late: a process that only binds the pool does not need it.
        from serve_app.analysis.song import SongListener

        with fetched(
            self._storage, request.key, self._working_dir, "analysis-"
        ) as path:
            make = self._make_listener or SongListener
            listener = heard(path, make, cancelled, on_samples)
            found = listener.finish(request.bpm_range, cancelled)
            return self._kept(request, found, path, cancelled)

    def of_stem(self, request: Request, cancelled: Event) -> Mapping[str, Any]:
        """Return a stem's loudness and levels, and store them if it has a place."""
        from serve_app.analysis.song import StemListener

        with fetched(self._storage, request.key, self._working_dir, "stem-") as path:
            listener = heard(path, StemListener, cancelled)
            return self._kept(request, listener.result(), path, cancelled)

    def peaks(self, request: Request, span: Span, cancelled: Event) -> Pixels:
        """Return the exact peaks of a span of a song or a stem."""
        with fetched(self._storage, request.key, self._working_dir, "peaks-") as path:
            return heard(
                path, lambda rate, _: PeaksListener(span, rate), cancelled
            ).end()

    def _kept(
        self, request: Request, found: "StemAnalysis", path: Path, cancelled: Event
    ) -> Mapping[str, Any]:
        """Return the report, stored with its waveform; `path` is overwritten."""
        report = found.to_dict()
        # A deleted job must leave no files.
        _check(cancelled)
        if request.place:
            # The report is stored last, so that it is never without its waveform.
            path.write_bytes(found.waveform.to_bytes())
            self._storage.put(waveform_key(request.place), path, synced=False)
            path.unlink(missing_ok=True)
            path.write_text(json.dumps(report))
            self._storage.put(report_key(request.place), path, synced=False)
        return report


def heard(
    path: Path,
    make: Callable[[int, Sequence[float]], L],
    cancelled: Event,
    on_samples: OnSamples = _ignore,
) -> L:
    """Decode the file into a listener, and return the listener.

    `make` gets the sample rate and the weights of the channels, `on_samples` the number
    of samples decoded so far. Raises UnreadableAudio, InvalidInput for a file without
    samples, and Cancelled.
    """
    listener: L | None = None
    samples = 0
    with opened(path) as song:
        for block in song.blocks(BLOCK_SAMPLES, with_channels=True):
            _check(cancelled)
            if listener is None:
                # Rate and weights are certain only after the first block.
                listener = make(song.sample_rate, song.loudness_weights)
            listener.add(block)
            samples += block.shape[1]
            on_samples(samples)
    if listener is None:
        raise InvalidInput("The song has no samples. Send a song with sound.")
    return listener


def _check(cancelled: Event) -> None:
    if cancelled.is_set():
        raise Cancelled("The analysis was cancelled.")
