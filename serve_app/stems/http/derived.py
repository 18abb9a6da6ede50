"""Derived files of a job: reports, waveforms, exports, made at the first request."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from serve_app.api.clients import Client
from serve_app.api.threads import run_in_thread
from serve_app.stems import reports
from serve_app.stems.exports.forms import Export
from serve_app.stems.http import lookup
from serve_app.stems.http.services import StemsServices
from serve_app.stems.request import SeparationJob
from serve_app.storage.port import StoredFile

if TYPE_CHECKING:
    from serve_app.analysis.waveform import Waveform

Make = Callable[[reports.Request], Awaitable[Mapping[str, Any]]]


class Derived:
    """Return the derived files of jobs, and have missing ones made, once each.

    `name` is `mix` for the song of a job, or the name of a stem. The methods raise
    JobNotFound, NotReady and StemNotFound as `lookup` does, and Unavailable.
    """

    def __init__(self, services: StemsServices) -> None:
        self._services = services
        self._making: dict[str, asyncio.Future[object]] = {}

    async def find(
        self, client: Client, job_id: str, name: str
    ) -> tuple[SeparationJob, reports.Request]:
        """Return a job and the request for its song or stem, once its files are stored.

        A client that disconnects does not stop the work: others may wait for it too.
        """
        job, make, request = await run_in_thread(self._find, client, job_id, name)
        key = reports.report_key(request.place)
        await self._ensure(key, lambda: make(request))
        return job, request

    async def export(
        self, client: Client, job_id: str, form: Export
    ) -> tuple[SeparationJob, StoredFile]:
        """Return a job and the stored file of its export.

        Raises InvalidInput if the song can't be exported in this form.
        """
        job, song = await self.find(client, job_id, reports.MIX)
        if form.needs_stems:
            lookup.check_stems(job)
        report = json.loads(await run_in_thread(self.report, song))
        request = reports.of_export(job, report, form.name)
        await self._ensure(request.key, lambda: self._services.analyses.export(request))
        return job, await run_in_thread(self._stored, request.key)

    async def _ensure(self, key: str, make: Callable[[], Awaitable[object]]) -> None:
        """Return once the file is stored; concurrent requests make it once."""
        if await run_in_thread(self._is_stored, key):
            return
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.ensure_future(make())
            making.add_done_callback(lambda _: self._making.pop(key, None))
        await asyncio.shield(making)

    def _stored(self, key: str) -> StoredFile:
        with lookup.expired():
            return self._services.storage.stat(key)

    def _find(
        self, client: Client, job_id: str, name: str
    ) -> tuple[SeparationJob, Make, reports.Request]:
        services = self._services
        job = lookup.find_job(services, client, job_id)
        if name == reports.MIX:
            return job, services.analyses.analyze_song, reports.of_song(job)
        stem = lookup.find_stem(services, client, job_id, name)
        return job, services.analyses.analyze_stem, reports.of_stem(job, stem)

    def _is_stored(self, key: str) -> bool:
        try:
            self._services.storage.stat(key)
        except FileNotFoundError:
            return False
        return True

    def report(self, request: reports.Request) -> bytes:
        """Return a report as JSON; `find` must have returned `request`."""
        return self._read(reports.report_key(request.place))

    def waveform(self, request: reports.Request) -> "Waveform":
        """Return a waveform; `find` must have returned `request`."""
        from serve_app.analysis.waveform import Waveform

        return Waveform.from_bytes(self._read(reports.waveform_key(request.place)))

    def _read(self, key: str) -> bytes:
        with lookup.expired():
            return b"".join(self._services.storage.read(key))
