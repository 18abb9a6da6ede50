"""The pool that analyses songs and stems."""

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from threading import Event
from typing import Any, TypeVar

from deployments import replica_ports
from deployments.files import file_storage
from deployments.logs import configure_logging
from deployments.ray_errors import Failed
from serve_app.analysis.waveform import Pixels, Span
from serve_app.errors import AppError
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.stems.exporter import Exporter
from serve_app.stems.reporter import Reporter
from serve_app.stems.reports import ExportRequest, Request

# An analysis is a twentieth of a separation's work and is done long before it: it
# takes what the separator leaves of the cores.
_NICENESS = 10

T = TypeVar("T")


class Analyzer:
    """Tells what songs and stems are.

    Each call ends within half a second when its caller cancels it. What went wrong that
    is no bug is returned as Failed.
    """

    def __init__(self, settings: Settings) -> None:
        # Here, so that who only binds the pool does not load it.
        from serve_app.analysis import song
        from serve_app.stems import beats

        replica_ports.keep_from_network()
        configure_logging(settings)
        storage = file_storage(settings)
        make_engine = beats.engine_maker(settings)
        self._reporter = Reporter(
            storage,
            settings.working_dir,
            partial(song.SongListener, make_engine=make_engine),
        )
        self._exporter = Exporter(storage, settings.working_dir)
        song.warm_up(make_engine)
        allocator.give_back()
        os.nice(_NICENESS)

    async def of_song(self, request: Request) -> Mapping[str, Any] | Failed:
        """Return all that is found out about a song."""
        return await _told(partial(self._reporter.of_song, request))

    async def of_stem(self, request: Request) -> Mapping[str, Any] | Failed:
        """Return a stem's loudness and levels."""
        return await _told(partial(self._reporter.of_stem, request))

    async def peaks(self, request: Request, span: Span) -> Pixels | Failed:
        """Return the exact peaks of a span of a song or a stem."""
        return await _told(partial(self._reporter.peaks, request, span))

    async def export(self, request: ExportRequest) -> Failed | None:
        """Make an export of a job."""
        return await _told(partial(self._exporter.export, request))


async def _told(tell: Callable[[Event], T]) -> T | Failed:
    cancelled = Event()
    try:
        return await asyncio.to_thread(tell, cancelled)
    except AppError as error:
        return Failed(error)
    finally:
        cancelled.set()
