"""A song that becomes an analysis job."""

from collections.abc import Sequence
from functools import partial
from uuid import uuid4

from fastapi.responses import JSONResponse

from serve_app.api import idempotency, request_id
from serve_app.jobs.job import State
from serve_app.stems.analysis_jobs.kind import NAME, song_key
from serve_app.stems.analysis_jobs.request import AnalysisJob, AnalysisRequest
from serve_app.stems.analysis_jobs.view import analysis_path
from serve_app.stems.analysis_jobs.wire import AnalysisAccepted
from serve_app.stems.http import form_options
from serve_app.stems.http.hand_in import (
    REPLAYED,
    STATUS,
    Body,
    Files,
    Headers,
    answered_before,
    hand_in,
)
from serve_app.stems.http.intake import Arrival, Upload
from serve_app.stems.http.song_request import SongRequest
from serve_app.stems.http.submission import source_of
from serve_app.telemetry.tracing import current as tracing

# The song as it is stored, and a working copy.
_COPIES = 2


class AnalysisSubmission:
    """One request to analyse a song as a job, from its arrival to the answer."""

    def __init__(self, song: SongRequest) -> None:
        self._request, self._client = song.request, song.client
        self._services, self._intake = song.services, song.intake
        self._base_url = song.base_url

    async def answer(self, arrival: Arrival) -> JSONResponse:
        """Make a job of the song, or repeat the answer to the same request."""
        services = self._services
        once = idempotency.once(self._request, self._client, arrival.said)
        if before := await answered_before(once):
            return self._served(before, REPLAYED)
        upload = await arrival.upload()
        job = await self._job(upload)
        body, headers = await hand_in(
            partial(services.analysis_jobs.add, job, quotas=self._client.quotas),
            Files(
                partial(services.storage.put, job.request.source.key, upload.path),
                partial(services.storage.delete, job.request.source.key),
            ),
            once,
            _accepted(job, upload.form.ignored).model_dump(mode="json"),
        )
        if not headers:
            services.wake(NAME)
        return self._served(body, headers)

    async def _job(self, upload: Upload) -> AnalysisJob:
        fields = upload.form.fields
        bpm_range = form_options.bpm_range(fields)
        webhook = form_options.webhook(fields, self._services.check_webhook)
        facts = await self._intake.measure(self._request, self._client, upload)
        job_id, now = uuid4().hex, self._services.clock()
        source = source_of(upload, facts, song_key(job_id))
        return AnalysisJob(
            job_id,
            AnalysisRequest(source, bpm_range, webhook),
            State.QUEUED,
            created_at=now,
            updated_at=now,
            tenant=self._client.tenant,
            client=self._client.name,
            cost_seconds=source.duration_seconds,
            disk_bytes=_COPIES * source.size_bytes,
            audio_seconds=source.duration_seconds,
            stored_bytes=source.size_bytes,
            request_id=request_id.current.get() or None,
            traceparent=tracing.traceparent(),
        )

    def _served(self, body: Body, headers: Headers) -> JSONResponse:
        """Return the answer with the URL that this request's client can follow."""
        url = f"{self._base_url}{analysis_path(body['job_id'])}"
        return JSONResponse(
            {**body, "status_url": url},
            STATUS,
            {"Location": url, "Cache-Control": "no-store", **headers},
        )


def _accepted(job: AnalysisJob, ignored: Sequence[str]) -> AnalysisAccepted:
    source = job.request.source
    path = analysis_path(job.id)
    return AnalysisAccepted(
        job_id=job.id,
        message="Analysis started. Poll `status_url` for its result.",
        filename=source.filename,
        size_bytes=source.size_bytes,
        duration=source.duration_seconds,
        sample_rate=source.sample_rate,
        status_url=path,
        ignored_fields=tuple(ignored),
    )
