"""Listens to stored sounds, and keeps what it tells of them beside them."""

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
    """Works out what is told of sounds in `storage`, and keeps it there.

    `make_listener` makes what hears a song, for a rate and weights of channels. All
    raise FileLost, StorageUnavailable, and Cancelled once `cancelled` is set.
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
        """Return all that is found out about a song."""
        # Here, so that who only binds the pool does not load what listens.
        from serve_app.analysis.song import SongListener

        with fetched(
            self._storage, request.key, self._working_dir, "analysis-"
        ) as path:
            make = self._make_listener or SongListener
            listener = heard(path, make, cancelled, on_samples)
            found = listener.finish(request.bpm_range, cancelled)
            return self._kept(request, found, path, cancelled)

    def of_stem(self, request: Request, cancelled: Event) -> Mapping[str, Any]:
        """Return a stem's loudness and levels."""
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
        """Return the report, stored with its waveform, for which `path` is used."""
        report = found.to_dict()
        # A job that was deleted meanwhile is to leave nothing.
        _check(cancelled)
        if request.place:
            # The report comes last: where there is one, there is a waveform.
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
    """Return a listener, for a rate and weights of channels, that has heard the file.

    `on_samples` is called with the number of samples heard so far. Raises
    UnreadableAudio, InvalidInput for a file without samples, and Cancelled.
    """
    listener: L | None = None
    samples = 0
    with opened(path) as song:
        for block in song.blocks(BLOCK_SAMPLES, with_channels=True):
            _check(cancelled)
            if listener is None:
                # Known for sure with the first block.
                listener = make(song.sample_rate, song.loudness_weights)
            listener.add(block)
            samples += block.shape[1]
            on_samples(samples)
    if listener is None:
        raise InvalidInput("The song has no samples; send one that has.")
    return listener


def _check(cancelled: Event) -> None:
    if cancelled.is_set():
        raise Cancelled("The analysis is not wanted any more.")
