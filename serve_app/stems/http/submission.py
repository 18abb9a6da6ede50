"""Submission of songs: create a job for a song, or reuse an earlier result."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import JSONResponse

from serve_app.api import idempotency
from serve_app.api.clients import Client
from serve_app.api.idempotency import Once
from serve_app.api.threads import run_in_thread
from serve_app.audio.facts import AudioFacts
from serve_app.errors import AudioTooLong, Unavailable
from serve_app.idempotency.response import Answer
from serve_app.idempotency.store import AnswerReceipt
from serve_app.jobs.job import State
from serve_app.stems.footprint import disk_bytes
from serve_app.stems.http import form_options as wanted
from serve_app.stems.http.intake import Arrival, Intake, Upload
from serve_app.stems.http.services import StemsServices
from serve_app.stems.kind import ORIGINALS, STEMS
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

# The gateways of old clients treat any other status as a failure, even 202.
STATUS = 200


class Submission:
    """One request to separate a song, from the song's arrival to the response.

    `base_url` is the URL at which its client reaches this service.
    """

    def __init__(
        self,
        request: Request,
        client: Client,
        services: StemsServices,
        intake: Intake,
        base_url: str,
    ) -> None:
        self._request = request
        self._client = client
        self._services = services
        self._intake = intake
        self._base_url = base_url

    async def answer(self, arrival: Arrival) -> JSONResponse:
        """Create a job for the song, or replay the kept response to the request."""
        services = self._services
        once = idempotency.once(self._request, self._client, arrival.said)
        if once is not None and (before := await once.before()):
            return self._served(before.body, {idempotency.REPLAYED: "true"})
        upload = await arrival.upload()
        options = wanted.choose(
            upload.form.fields, services.models.infos, services.models.default
        )
        webhook = wanted.webhook(upload.form.fields, services.check_webhook)
        file_key, twins = await self._twins(upload, options)
        job = await self._job(upload, options, file_key, twins)
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
            source = _source(upload, facts)
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
            same_input=file_key,
            same_work=audio_key,
        )

    async def _submitted(
        self,
        job: SeparationJob,
        path: Path | None,
        ignored: Sequence[str],
        once: Once | None,
    ) -> JSONResponse:
        services = self._services
        body: Mapping[str, Any] = _accepted(job, ignored).model_dump(
            mode="json", exclude_none=True
        )
        answer = once.answer(STATUS, {}, body) if once else None
        before = await run_in_thread(_submit, services, job, path, answer)
        if once is not None and before is not None:
            body = once.checked(before).body
            return self._served(body, {idempotency.REPLAYED: "true"})
        if not job.state.is_final:
            services.wake()
        return self._served(body, {})

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


def _source(upload: Upload, facts: AudioFacts) -> Source:
    form = upload.form
    return Source(
        filename=form.filename,
        key="",
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
            f"Separating this song may need {needed / 1e9:.1f} GB of disk, but the "
            f"limit for a song is {limit / 1e9:.1f} GB. Convert it to 44.1 kHz, cut it "
            "into shorter songs, or request fewer stems."
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


def _submit(
    services: StemsServices,
    job: SeparationJob,
    path: Path | None,
    answer: Answer | None,
) -> Answer | None:
    """Store the song, then add the job, which a dispatcher may claim at once.

    `path` is None if the song is stored already. Return the kept response if the same
    request already has one; the song is deleted then.
    """
    try:
        if path is not None:
            services.storage.put(job.request.source.key, path)
        receipt = None if answer is None else AnswerReceipt(answer)
        before = services.jobs.add(job, receipt)
    except Unavailable:
        # The job may have been added all the same. If not, a sweep deletes its files.
        raise
    except BaseException:
        _discard(services, job)
        raise
    if before is not None:
        _discard(services, job)
    return before


def _discard(services: StemsServices, job: SeparationJob) -> None:
    for folder in (ORIGINALS, STEMS):
        services.storage.delete(f"{folder}/{job.id}")


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
