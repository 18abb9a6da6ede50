"""The pool that analyses songs."""

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import closing
from threading import Event
from typing import Any

from deployments import replica_ports
from deployments.failures import Failed
from deployments.files import file_storage
from deployments.logs import configure_logging
from serve_app import disk
from serve_app.audio.decode import read_blocks
from serve_app.errors import AppError, StorageFull
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.storage.fetch import fetched

logger = logging.getLogger(__name__)

# An analysis is a twentieth of a separation's work and is done long before it: it
# takes what the separator leaves of the cores.
_NICENESS = 10


class Analyzer:
    """Tells a song's tempo and key."""

    def __init__(self, settings: Settings) -> None:
        # Here, so that who only binds the pool does not load librosa.
        from serve_app.analysis import song as songs

        replica_ports.keep_from_network()
        configure_logging(settings)
        self._storage = file_storage(settings)
        self._working_dir = settings.working_dir
        try:
            with disk.full_as_unavailable():
                songs.warm_up()
        except StorageFull as err:
            # For want of a cache each process compiles for itself.
            logger.warning("compiled code not cached: %s", err)
        allocator.give_back()
        self._find = songs.analyze
        os.nice(_NICENESS)

    async def analyze(
        self, key: str, sample_rate: int, samples: int
    ) -> Mapping[str, Any] | Failed:
        """Return the analysis of the song stored under `key`, or why there is none.

        It ends within half a second when the caller cancels it.
        """
        cancelled = Event()
        try:
            return await asyncio.to_thread(
                self._analyze, key, sample_rate, samples, cancelled
            )
        except AppError as error:
            return Failed(error)
        finally:
            cancelled.set()

    def _analyze(
        self, key: str, sample_rate: int, samples: int, cancelled: Event
    ) -> Mapping[str, Any]:
        with (
            fetched(self._storage, key, self._working_dir, "analysis-") as path,
            # Closed here, or an error's traceback keeps the song open.
            closing(read_blocks(path)) as blocks,
        ):
            return self._find(blocks, sample_rate, samples, cancelled).to_dict()
