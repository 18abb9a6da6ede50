"""Submission of songs: create a job for a song, or reuse an earlier result."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import JSONResponse

from serve_app.api import idempotency, request_id
from serve_app.api.idempotency import Once
from serve_app.api.threads import run_in_thread
from serve_app.audio.facts import AudioFacts
from serve_app.errors import AudioTooLong
from serve_app.jobs.job import State
from serve_app.stems.footprint import disk_bytes, most_stored_bytes
from serve_app.stems.http import form_options
from serve_app.stems.http.hand_in import (
    REPLAYED,
    STATUS,
    Files,
    answered_before,
    hand_in,
)
from serve_app.stems.http.intake import Arrival, Upload
from serve_app.stems.http.services import StemsServices
from serve_app.stems.http.song_request import SongRequest
from serve_app.stems.kind import NAME, ORIGINALS, STEMS
from serve_app.stems.request import (
    Options,
    Result,
    SeparationJob,
    SeparationRequest,
    Source,
    content_key,
)
from serve_app.stems.wire import (
    Accepted,
    JobStatus,
)
from serve_app.storage.port import Storage
from serve_app.telemetry.tracing import current as tracing


class Submission:
    """One request to separate a song, from the song's arrival to the response."""

    def __init__(self, song: SongRequest) -> None:
        self._request, self._client = song.request, song.client
        self._services, self._intake = song.services, song.intake
        self._base_url = song.base_url

    async def answer(self, arrival: Arrival) -> JSONResponse:
        """Create a job for the song, or replay the kept response to the request."""
        services = self._services
        once = idempotency.once(self._request, self._client, arrival.said)
        if before := await answered_before(once):
            return self._served(before, REPLAYED)
        upload = await arrival.upload()
        options = form_options.choose(
            upload.form.fields, services.models.infos, services.models.default
        )
        webhook = form_options.webhook(upload.form.fields, services.check_webhook)
        file_key, twins = await self._twins(upload, options)
        job = await self._job(upload, options, file_key, twins)
        if webhook is not None and self._client.credential:
            webhook = replace(webhook, credential=self._client.credential)
        job = job.evolve(request=replace(job.request, webhook=webhook))
        path: Path | None = upload.path
        if file_key and services.reuse is not None:
            found = await run_in_thread(services.reuse, job, twins)
            if found is not None:
                job = _ended(job, found, services.limits.retention_seconds)
                # A twin has the same file, which was copied together with its stems.
                path = None if twins else path
        return await self._submitted(job, path, upload.form.ignored, once)

    async def _twins(
        self, upload: Upload, options: Options
    ) -> tuple[str | None, Sequence[SeparationJob]]:
        """Return the key of jobs with the same file and options, and those jobs.

        The key is None if the client or the operator has turned reuse off.
        """
        services = self._services
        if services.reuse is None or _refuses_reuse(self._request):
            return None, []
        file_key = content_key(self._client.tenant, upload.form.sha256, options)
        return file_key, await run_in_thread(services.jobs.with_same_input, file_key)

    async def _job(
        self,
        upload: Upload,
        options: Options,
        file_key: str | None,
        twins: Sequence[SeparationJob],
    ) -> SeparationJob:
        """Return the job; a file that a twin has is not decoded again."""
        services, form = self._services, upload.form
        job_id, now = uuid4().hex, services.clock()
        audio_key = None
        if twins:
            source, audio_key = twins[0].request.source, twins[0].same_work
        else:
            facts = await self._intake.measure(self._request, self._client, upload)
            source = source_of(upload, facts)
            if file_key is not None:
                # The tags are included, because stems carry those of their song.
                content = f"{facts.sha256} {facts.tags_sha256}"
                audio_key = content_key(self._client.tenant, content, options)
        source = replace(source, filename=form.filename, key=f"{ORIGINALS}/{job_id}")
        return SeparationJob(
            job_id,
            SeparationRequest(source, options),
            State.QUEUED,
            created_at=now,
            updated_at=now,
            tenant=self._client.tenant,
            client=self._client.name,
            priority=options.priority.rank,
            cost_seconds=source.duration_seconds,
            disk_bytes=_disk_bytes(services, source, options),
            audio_seconds=source.duration_seconds,
            stored_bytes=most_stored_bytes(source, options),
            same_input=file_key,
            same_work=audio_key,
            request_id=request_id.current.get() or None,
            traceparent=tracing.traceparent(),
        )

    async def _submitted(
        self,
        job: SeparationJob,
        path: Path | None,
        ignored: Sequence[str],
        once: Once | None,
    ) -> JSONResponse:
        services, storage = self._services, self._services.storage
        body, headers = await hand_in(
            partial(services.jobs.add, job, quotas=self._client.quotas),
            Files(partial(_store, storage, job, path), partial(_discard, storage, job)),
            once,
            _accepted(job, ignored).model_dump(mode="json", exclude_none=True),
        )
        if not headers and not job.state.is_final:
            services.wake(NAME)
        return self._served(body, headers)

    def _served(
        self, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> JSONResponse:
        """Return the response with URLs that this client can reach.

        A replayed body may come from an earlier version, with other fields.
        """
        url = f"{self._base_url}/job/{body['job_id']}"
        return JSONResponse(
            {
                **body,
                "status": JobStatus.PENDING,
                "status_url": url,
                "hf_space_url": self._services.public_url,
            },
            STATUS,
            {"Location": url, "Cache-Control": "no-store", **headers},
        )


def _refuses_reuse(request: Request) -> bool:
    """Whether the client wants no earlier result (RFC 9111: no-cache)."""
    return "no-cache" in request.headers.get("cache-control", "").lower()


def source_of(upload: Upload, facts: AudioFacts, key: str = "") -> Source:
    """Return an upload as the source of a job, stored as `key`."""
    form = upload.form
    return Source(
        filename=form.filename,
        key=key,
        size_bytes=form.size_bytes,
        sha256=form.sha256,
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        samples=facts.samples,
        mean=facts.mean,
        deviation=facts.deviation,
        side_mean=facts.side_mean,
    )


def _disk_bytes(services: StemsServices, source: Source, options: Options) -> int:
    """Return the most disk that the job takes; raise AudioTooLong above the limit."""
    model = next(each for each in services.models.infos if each.name == options.model)
    needed = disk_bytes(source, options, model.sources, model.sample_rate)
    limit = services.limits.max_job_disk_bytes
    if needed > limit:
        raise AudioTooLong(
            f"Separating this song may need {needed / 1024**3:.1f} GiB of disk, but "
            f"the limit for a song is {limit / 1024**3:.1f} GiB. Convert it to 44.1 "
            "kHz, cut it into shorter songs, or request fewer stems."
        )
    return needed


def _ended(
    job: SeparationJob, result: Result, retention_seconds: float
) -> SeparationJob:
    """Return the job as completed with another job's result."""
    return job.evolve(
        state=State.SUCCEEDED,
        progress=1.0,
        result=result,
        expires_at=job.created_at + timedelta(seconds=retention_seconds),
    )


def _store(storage: Storage, job: SeparationJob, path: Path | None) -> None:
    """Store the song; `path` is None where that was done already."""
    if path is not None:
        storage.put(job.request.source.key, path)


def _discard(storage: Storage, job: SeparationJob) -> None:
    for folder in (ORIGINALS, STEMS):
        storage.delete(f"{folder}/{job.id}")


def _accepted(job: SeparationJob, ignored: Sequence[str]) -> Accepted:
    if job.result is None:
        message = f"Separation started. Poll /job/{job.id} for its progress."
    else:
        message = f"The stems are ready at /job/{job.id}: an earlier job made them."
    return Accepted(
        job_id=job.id,
        message=message,
        filename=job.request.source.filename,
        size_bytes=job.request.source.size_bytes,
        duration=job.request.source.duration_seconds,
        model=job.request.options.model,
        stems=job.request.options.stems,
        format=job.request.options.format,
        status_url=f"/job/{job.id}",
        ignored_fields=tuple(ignored),
        cache=None if job.result is None else job.result.cache,
    )
