"""Analysis of a song while the client waits."""

from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi import APIRouter
from fastapi import Request as HttpRequest

from serve_app.api.dependencies import InjectedClient
from serve_app.api.problems import documented
from serve_app.api.threads import run_in_thread
from serve_app.errors import (
    AudioTooLong,
    BadRequest,
    BodyTooSlow,
    Busy,
    InvalidField,
    NoDirectUploads,
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
from serve_app.stems.http import form_options as options
from serve_app.stems.http import json_body as references
from serve_app.stems.http.dependencies import InjectedIntake, InjectedStems
from serve_app.stems.http.services import StemsServices
from serve_app.stems.reports import Request
from serve_app.stems.wire import (
    Analysis,
)
from serve_app.storage.port import UPLOADS

router = APIRouter(tags=["analysis"])

ANALYZE_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": True,
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "The song, in any format that can be "
                            "separated.",
                        },
                        options.BPM_RANGE: options.BPM_RANGE_SCHEMA,
                    },
                }
            }
        },
    }
}


@router.post(
    "/analyze",
    summary="Analyse a song",
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
        BodyTooSlow,
        TooManyRequests,
        Unavailable,
        Busy,
        StorageFull,
    ),
    openapi_extra=references.documented(ANALYZE_FORM),
)
async def analyze(
    request: HttpRequest,
    client: InjectedClient,
    services: InjectedStems,
    intake: InjectedIntake,
) -> Analysis:
    """Find a song's tempo, beats, key, loudness and sections; nothing of it is kept.

    Form fields that are not known are ignored, and so are query parameters.
    """
    async with intake.receive(request, client, (options.BPM_RANGE,)) as arrival:
        upload = await arrival.upload()
        bpm_range = options.bpm_range(upload.form.fields)
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
