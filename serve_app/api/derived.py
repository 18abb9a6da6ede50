"""What is made of a job's song and stems when it is first asked for, and kept."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from serve_app import reports
from serve_app.api import lookup
from serve_app.api.clients import Client
from serve_app.api.services import Services
from serve_app.api.threads import run
from serve_app.jobs.job import Job

if TYPE_CHECKING:
    from serve_app.analysis.waveform import Waveform

Make = Callable[[reports.Request], Awaitable[Mapping[str, Any]]]


class Derived:
    """Gives what is kept of parts of jobs, and has it made once where it is not there.

    A part is the song, `mix`, or a stem by its name. Its methods raise JobNotFound,
    NotReady and StemNotFound as `lookup` does, and Unavailable.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._making: dict[str, asyncio.Task[Mapping[str, Any]]] = {}

    async def find(
        self, client: Client, job_id: str, part: str
    ) -> tuple[Job, reports.Request]:
        """Return a job and the request for a part of it, of which all is kept now.

        Whoever leaves while it is made does not stop it: others may wait for it too.
        """
        job, make, request = await run(self._find, client, job_id, part)
        if not await run(self._is_kept, reports.report_key(request.place)):
            await self._once(make, request)
        return job, request

    async def _once(self, make: Make, request: reports.Request) -> None:
        making = self._making.get(request.place)
        if making is None:
            making = asyncio.ensure_future(make(request))
            self._making[request.place] = making
            making.add_done_callback(lambda _: self._making.pop(request.place, None))
        await asyncio.shield(making)

    def _find(
        self, client: Client, job_id: str, part: str
    ) -> tuple[Job, Make, reports.Request]:
        services = self._services
        job = lookup.find_job(services, client, job_id)
        if part == reports.MIX:
            return job, services.tell_of_song, reports.of_song(job)
        stem = lookup.find_stem(services, client, job_id, part)
        return job, services.tell_of_stem, reports.of_stem(job, stem)

    def _is_kept(self, key: str) -> bool:
        try:
            self._services.storage.stat(key)
        except FileNotFoundError:
            return False
        return True

    def report(self, request: reports.Request) -> bytes:
        """Return what was found out about a part that was found, as JSON."""
        return self._read(reports.report_key(request.place))

    def waveform(self, request: reports.Request) -> "Waveform":
        """Return the waveform of a part that was found."""
        from serve_app.analysis.waveform import Waveform

        return Waveform.from_bytes(self._read(reports.waveform_key(request.place)))

    def _read(self, key: str) -> bytes:
        with lookup.expired():
            return b"".join(self._services.storage.read(key))
