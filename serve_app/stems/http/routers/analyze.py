"""Analysis of a song while the client waits."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from fastapi import Request as HttpRequest

from serve_app.api import idempotency
from serve_app.api.dependencies import InjectedBaseUrl, InjectedClient
from serve_app.api.problems import documented
from serve_app.api.threads import run_in_thread
from serve_app.errors import (
    AudioTooLong,
    BadRequest,
    BodyTooSlow,
    Busy,
    InvalidField,
    KeyReused,
    NoDirectUploads,
    QueueFull,
    RefusedUrl,
    StorageFull,
    TooManyRequests,
    Unavailable,
    UnreachableUrl,
    UnreadableAudio,
    UploadBusy,
    UploadIncomplete,
    UploadNotFound,
    UploadTooLarge,
)
from serve_app.stems import options
from serve_app.stems.analysis_jobs.wire import AnalysisAccepted
from serve_app.stems.http import form_options, openapi
from serve_app.stems.http.analysis_submission import (
    AnalysisSubmission,
    check_room,
)
from serve_app.stems.http.dependencies import InjectedIntake, InjectedStems
from serve_app.stems.http.services import StemsServices
from serve_app.stems.reports import Request
from serve_app.stems.wire import (
    Analysis,
)
from serve_app.storage.port import UPLOADS

router = APIRouter(tags=["analysis"])


@router.post(
    "/analyze",
    summary="Analyse a song",
    response_model=Analysis | AnalysisAccepted,
    response_model_exclude_unset=True,
    responses=documented(
        BadRequest,
        UploadTooLarge,
        AudioTooLong,
        InvalidField,
        UnreadableAudio,
        RefusedUrl,
        UnreachableUrl,
        UploadNotFound,
        UploadIncomplete,
        UploadBusy,
        NoDirectUploads,
        KeyReused,
        QueueFull,
        BodyTooSlow,
        TooManyRequests,
        Unavailable,
        Busy,
        StorageFull,
    ),
    openapi_extra=openapi.song_body(options.ANALYZE),
)
async def analyze(
    request: HttpRequest,
    client: InjectedClient,
    services: InjectedStems,
    intake: InjectedIntake,
    base_url: InjectedBaseUrl,
    is_job: Annotated[
        bool,
        Query(
            alias="async",
            description="Answer at once with a job to poll, for songs that take long. "
            "The answer then has `job_id` and `status_url`.",
        ),
    ] = False,
    _: idempotency.Key = None,
) -> Response | Analysis:
    """Find a song's tempo, beats, key, loudness and sections.

    Nothing of the song is kept. With `async=true` the song is analysed as a job: poll
    its `status_url`; `webhook_url`, `webhook_events` and the header Idempotency-Key are
    as for `/separate`. Unknown form fields and query parameters are ignored.
    """
    if is_job:
        await check_room(request, client, services)
        fields = options.names(options.ANALYZE)
        async with intake.receive(request, client, fields) as arrival:
            submission = AnalysisSubmission(request, client, services, intake, base_url)
            return await submission.answer(arrival)
    async with intake.receive(request, client, (options.BPM_RANGE.name,)) as arrival:
        upload = await arrival.upload()
        bpm_range = form_options.bpm_range(upload.form.fields)
        facts = await intake.measure(request, client, upload)
        found = await _analyze_stored(services, upload.path, bpm_range)
    return Analysis.model_validate(
        {
            **found,
            "success": True,
            "filename": upload.form.filename,
            "size_bytes": upload.form.size_bytes,
            "duration": facts.duration_seconds,
            "sample_rate": facts.sample_rate,
            "ignored_fields": upload.form.ignored,
        }
    )


async def _analyze_stored(
    services: StemsServices,
    path: Path,
    bpm_range: tuple[float, float] | None,
) -> dict[str, Any]:
    # Through the storage, as the Analyzer may run on another machine.
    key = f"{UPLOADS}/{uuid4().hex}"
    try:
        await run_in_thread(services.storage.put, key, path)
        request = Request(key, bpm_range=bpm_range)
        return dict(await services.analyses.analyze_song(request))
    finally:
        await run_in_thread(services.storage.delete, key)
