"""Derived files of a job, made at the first request: reports, exports, mixes."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from serve_app.api.clients import Client
from serve_app.api.threads import run_in_thread
from serve_app.errors import JobNotFound, MixNotFound
from serve_app.stems import mixes, reports
from serve_app.stems.exports.forms import Export
from serve_app.stems.http import lookup
from serve_app.stems.http.services import StemsServices
from serve_app.stems.mixes import Mix, MixRequest
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
        # How many mixes of a job are being made; one at a time gets its place.
        self._mixing: Counter[str] = Counter()
        self._placing = asyncio.Lock()

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

    async def mix(
        self, client: Client, job_id: str, gains: Mapping[str, float], format: str
    ) -> tuple[SeparationJob, Mix]:
        """Return a job and a mix of its stems, once that is stored.

        Raises InvalidInput for a mix that the job can't have, and TooManyRequests
        before any work if it can't be kept.
        """
        job = await run_in_thread(lookup.find_job, self._services, client, job_id)
        lookup.check_stems(job)
        request = mixes.request_of(job, gains, format)
        found = await run_in_thread(self._stored_mix, job.id, request.id)
        if found is None:
            await run_in_thread(self._services.arrivals.reserve.check)
            key = mixes.record_key(job.id, request.id)
            await self._once(key, lambda: self._make_mix(request))
            found = await run_in_thread(self._stored_mix, job.id, request.id)
        if found is None:
            raise JobNotFound
        return job, found[0]

    async def _make_mix(self, request: MixRequest) -> None:
        storage, job_id = self._services.storage, request.job.id
        async with self._placing:
            others, now = self._mixing[job_id], self._services.clock()
            await run_in_thread(mixes.make_room, storage, job_id, others, now)
            self._mixing[job_id] += 1
        try:
            await self._services.analyses.mix(request)
        finally:
            self._mixing[job_id] -= 1
            if not self._mixing[job_id]:
                del self._mixing[job_id]

    async def find_mix(
        self, client: Client, job_id: str, mix_id: str
    ) -> tuple[Mix, StoredFile]:
        """Return a mix of a job that was made before; raise MixNotFound."""
        job = await run_in_thread(lookup.find_job, self._services, client, job_id)
        found = None
        if mixes.is_id(mix_id):
            found = await run_in_thread(self._stored_mix, job.id, mix_id)
        if found is None:
            raise MixNotFound
        return found

    def _stored_mix(self, job_id: str, mix_id: str) -> tuple[Mix, StoredFile] | None:
        return mixes.find(self._services.storage, job_id, mix_id)

    async def _ensure(self, key: str, make: Callable[[], Awaitable[object]]) -> None:
        """Return once the file is stored; concurrent requests make it once."""
        if not await run_in_thread(self._is_stored, key):
            await self._once(key, make)

    async def _once(self, key: str, make: Callable[[], Awaitable[object]]) -> None:
        """Make a file, or wait for a request that is making it."""
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
