"""Analysis of a song while the client waits."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Response

from serve_app.api import idempotency
from serve_app.api.threads import run_in_thread
from serve_app.stems import options
from serve_app.stems.analysis_jobs.wire import AnalysisAccepted
from serve_app.stems.http import form_options, openapi
from serve_app.stems.http.analysis_submission import (
    AnalysisSubmission,
)
from serve_app.stems.http.dependencies import InjectedSongRequest
from serve_app.stems.http.intake import Upload
from serve_app.stems.http.services import StemsServices
from serve_app.stems.reports import Request
from serve_app.stems.wire import (
    Analysis,
)
from serve_app.storage.port import UPLOADS
from serve_app.telemetry.tracing import current as tracing

router = APIRouter(tags=["analysis"])


@router.post(
    "/analyze",
    summary="Analyse a song",
    response_model=Analysis | AnalysisAccepted,
    response_model_exclude_unset=True,
    responses=openapi.SONG_RESPONSES,
    openapi_extra=openapi.song_body(options.ANALYZE),
)
async def analyze(
    song: InjectedSongRequest,
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
        await song.check_room(song.services.analysis_jobs)
        async with song.receive(options.ANALYZE) as arrival:
            return await AnalysisSubmission(song).answer(arrival)
    async with song.receive(options.ANALYZE) as arrival:
        upload = await arrival.upload()
        bpm_range = form_options.bpm_range(upload.form.fields)
        facts = await song.intake.measure(song.request, song.client, upload)
        found = await _analyze_stored(song.services, upload.path, bpm_range)
    return Analysis.model_validate(
        {
            **found,
            "success": True,
            "filename": upload.form.filename,
            "size_bytes": upload.form.size_bytes,
            "duration": facts.duration_seconds,
            "sample_rate": facts.sample_rate,
            "ignored_fields": (*upload.form.ignored, *_for_jobs(upload)),
        }
    )


def _for_jobs(upload: Upload) -> list[str]:
    """Return the names of the given options that only `async=true` has."""
    given = {name for name, text in upload.form.fields if text.strip()}
    return sorted(given - {options.BPM_RANGE.name})


async def _analyze_stored(
    services: StemsServices,
    path: Path,
    bpm_range: tuple[float, float] | None,
) -> dict[str, Any]:
    # Through the storage, as the Analyzer may run on another machine.
    key = f"{UPLOADS}/{uuid4().hex}"
    try:
        await run_in_thread(services.storage.put, key, path)
        request = Request(key, bpm_range=bpm_range, traceparent=tracing.traceparent())
        return dict(await services.analyses.analyze_song(request))
    finally:
        await run_in_thread(services.storage.delete, key)
