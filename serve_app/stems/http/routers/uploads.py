"""The routes of direct uploads: clients send files to the store themselves."""

from datetime import timedelta
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from serve_app.api import idempotency
from serve_app.api.dependencies import InjectedClient
from serve_app.api.multipart import FormRules, too_large
from serve_app.api.problems import documented
from serve_app.api.threads import run_in_thread
from serve_app.errors import (
    BadRequest,
    InvalidInput,
    KeyReused,
    NoDirectUploads,
    StorageUnavailable,
    UploadNotFound,
    UploadTooLarge,
)
from serve_app.stems.http.dependencies import InjectedStems
from serve_app.stems.http.intake import direct_uploads, upload_place
from serve_app.stems.wire import (
    DirectUpload,
    NewUpload,
    UploadPart,
)

router = APIRouter(tags=["separation"])

_CREATED = 201


@router.post(
    "/uploads",
    status_code=_CREATED,
    summary="Start a direct upload",
    response_model=DirectUpload,
    responses=documented(
        BadRequest,
        InvalidInput,
        KeyReused,
        UploadTooLarge,
        NoDirectUploads,
        StorageUnavailable,
    ),
)
async def begin_upload(
    new: NewUpload,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    _: idempotency.Key = None,
) -> Response:
    """Start an upload. Then PUT each part of the file to its `url`, in any order.

    Part 1 is the first `part_bytes` of the file, and so on; the last part has the rest.
    Then send the `upload_id` to `POST /separate`.
    """
    uploads = direct_uploads(services.arrivals)
    rules = FormRules((), services.limits.max_upload_bytes)
    if new.size_bytes > rules.max_file_bytes:
        raise too_large(rules)
    said = [new.filename, new.size_bytes]
    once = idempotency.once(request, client, said)
    if once is not None and (before := await once.before()):
        return idempotency.replayed(before)
    upload_id, now = uuid4().hex, services.clock()
    place = upload_place(upload_id, client)
    offer = await run_in_thread(uploads.begin, place, new.filename, new.size_bytes)
    begun = DirectUpload(
        upload_id=upload_id,
        part_bytes=offer.part_bytes,
        parts=[
            UploadPart(number=number, url=url)
            for number, url in enumerate(offer.part_urls, 1)
        ],
        expires_at=now + timedelta(seconds=uploads.seconds),
    ).model_dump(mode="json")
    if once is not None and (before := await once.keep(_CREATED, begun)):
        await run_in_thread(uploads.give_up, place)
        return idempotency.replayed(before)
    return JSONResponse(begun, _CREATED)


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    summary="Cancel a direct upload",
    responses=documented(UploadNotFound, NoDirectUploads, StorageUnavailable),
)
async def give_up_upload(
    upload_id: str, client: InjectedClient, services: InjectedStems
) -> None:
    """Delete the parts of an upload that has not become a job."""
    uploads = direct_uploads(services.arrivals)
    if not await run_in_thread(uploads.give_up, upload_place(upload_id, client)):
        raise UploadNotFound(
            "There is no such upload: the id is unknown, or the upload was already "
            "used or cancelled."
        )
