"""The intake of songs: receive or fetch them to disk, check and decode them."""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request

from serve_app.api.clients import Client
from serve_app.api.leaving import disconnected
from serve_app.api.multipart import Form, FormReader, FormRules, too_large
from serve_app.api.shares import Shares
from serve_app.api.threads import run_in, run_in_thread
from serve_app.audio.facts import AudioFacts
from serve_app.errors import (
    BadRequest,
    NoDirectUploads,
    StorageUnavailable,
    Unavailable,
    UploadNotFound,
    disk_full_as_unavailable,
)
from serve_app.filenames import titles
from serve_app.stems.http import json_body
from serve_app.stems.http.json_body import Reference
from serve_app.stems.http.services import Arrivals
from serve_app.storage.port import DirectUploads
from serve_app.storage.working_directory import working_directory

logger = logging.getLogger(__name__)

# Few thread switches and little memory for each upload.
BATCH_BYTES = 1024 * 1024

# Decoding has its own threads, so that the others stay free for polling clients. There
# are more than cores, so that short songs are decoded beside long ones, which have a
# lower priority. Each may take `STEMSERVE_DECODE_MEMORY_BYTES`.
DECODES_AT_ONCE = 8
DECODES_OF_A_CLIENT = 2

# Fetches have their own threads too, because they wait for slow servers.
FETCHES_AT_ONCE = 8

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Upload:
    """A form, and the path of its file, which exists until the request ends."""

    path: Path
    form: Form


class Arrival:
    """A request with a song, which `upload` returns.

    `said` is the content of the request, as values that JSON can hold.
    """

    def __init__(
        self, said: Sequence[Any], fetch: Callable[[], Awaitable[Upload]]
    ) -> None:
        self.said = said
        self.is_fetched = False
        self._fetch = fetch

    async def upload(self) -> Upload:
        """Return the song, fetched if the request names its address.

        Raises as `Intake.receive` says.
        """
        upload = await self._fetch()
        self.is_fetched = True
        return upload


class Intake:
    """Receive songs, complete and checked, and delete their files afterwards."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._decoding = Shares(DECODES_AT_ONCE, DECODES_OF_A_CLIENT)
        self._decoders = ThreadPoolExecutor(DECODES_AT_ONCE, "decode")
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._fetchers = ThreadPoolExecutor(FETCHES_AT_ONCE, "fetch")

    @asynccontextmanager
    async def receive(
        self, request: Request, client: Client, fields: Sequence[str] = ()
    ) -> AsyncIterator[Arrival]:
        """Receive a client's form, or the JSON body that names its song.

        A song named by its address is fetched when the block calls `upload`. The file
        is deleted at the end of the block, and so is a fetched direct upload unless the
        block raises. Raises UploadTooLarge (before reading the body if its length is
        announced), BadRequest for a malformed form, InvalidField for an invalid field,
        StorageFull when the disks have no room for more songs, and the errors of
        `Arrivals.fetch` and `DirectUploads.fetch`.
        """
        rules = FormRules(tuple(fields), self._arrivals.max_upload_bytes)
        announced = request.headers.get("content-length", "")
        if _is_more(announced, rules.max_body_bytes):
            raise too_large(rules)
        await run_in_thread(self._arrivals.reserve.check)
        with ExitStack() as stack:
            working = working_directory(self._arrivals.working_dir, "upload-")
            path = await run_in_thread(stack.enter_context, working) / "original"
            try:
                if json_body.is_json(request.headers):
                    reference = await json_body.read(request, fields)
                    fetch = partial(
                        self._fetched, request, client, reference, path, stack
                    )
                    arrival = Arrival(list(astuple(reference)), fetch)
                    yield arrival
                    if arrival.is_fetched:
                        await self._delete_upload(reference, client)
                else:
                    content_type = request.headers.get("content-type", "")
                    reader = FormReader(content_type, path, rules)
                    stack.callback(reader.close)
                    form = await _read(request, reader, rules)
                    yield _received(Upload(path, form))
            finally:
                await run_in_thread(stack.close)

    async def measure(
        self, request: Request, client: Client, upload: Upload
    ) -> AudioFacts:
        """Decode the whole song; stop if its client disconnects.

        Raises the errors of `Arrivals.measure`.
        """
        arrived_seconds, decodes = time.monotonic(), self._arrivals.decodes
        async with self._decoding.held(client.name), _wanted(request) as is_wanted:
            measure = self._arrivals.measure
            with decodes.recorded(time.monotonic() - arrived_seconds):
                return await run_in(self._decoders, measure, upload.path, is_wanted)

    async def _fetched(
        self,
        request: Request,
        client: Client,
        reference: Reference,
        path: Path,
        stack: ExitStack,
    ) -> Upload:
        """Fetch the song of a reference to `path`; stop if its client disconnects.

        A direct upload is claimed until `stack` is closed.
        """
        fetch = partial(self._arrivals.fetch, reference.url)
        if reference.upload_id:
            uploads = direct_uploads(self._arrivals)
            place = upload_place(reference.upload_id, client)
            await run_in_thread(stack.enter_context, uploads.claimed(place))
            fetch = partial(uploads.fetch, place)
        async with self._fetching, _wanted(request) as is_wanted:
            made = partial(_form, fetch, reference, path, is_wanted)
            return Upload(path, await run_in(self._fetchers, made))

    async def _delete_upload(self, reference: Reference, client: Client) -> None:
        """Delete the direct upload of a request that succeeded, if it has one."""
        if not reference.upload_id:
            return
        uploads = direct_uploads(self._arrivals)
        try:
            await run_in_thread(
                uploads.give_up, upload_place(reference.upload_id, client)
            )
        except StorageUnavailable as err:
            # The request has succeeded: the sweep deletes the upload later.
            logger.warning(
                "upload not deleted yet upload=%s: %s", reference.upload_id, err
            )


def _is_more(announced: str, most_bytes: int) -> bool:
    """Whether a Content-Length, with any number of digits, exceeds a limit."""
    digits = announced.lstrip("0")
    return digits.isdecimal() and (len(digits) > 18 or int(digits) > most_bytes)


def _received(upload: Upload) -> Arrival:
    """Return the arrival of a song that the request itself contained."""

    async def fetch() -> Upload:
        return upload

    form = upload.form
    return Arrival([form.sha256, form.filename, sorted(form.fields)], fetch)


def direct_uploads(arrivals: Arrivals) -> DirectUploads:
    """Return the store of direct uploads; raise NoDirectUploads if there is none."""
    if arrivals.uploads is None:
        raise NoDirectUploads(
            "Direct uploads need S3, but this server stores files in a directory. Send "
            "the song to POST /separate as a form."
        )
    return arrivals.uploads


def upload_place(upload_id: str, client: Client) -> str:
    """Return the key of a client's upload in the store.

    It contains the tenant, so that another tenant's upload is not found. Raises
    UploadNotFound for an invalid id.
    """
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise UploadNotFound(
            "There is no such upload. Start one with POST /uploads, and use the "
            "`upload_id` of the response."
        )
    if not client.is_tenant:
        return upload_id
    return f"{upload_id}-{hashlib.sha256(client.tenant.encode()).hexdigest()}"


@asynccontextmanager
async def _wanted(request: Request) -> AsyncIterator[Callable[[], bool]]:
    """Yield a thread-safe function that returns whether the client still waits."""
    task = asyncio.current_task()
    leaving = asyncio.ensure_future(disconnected(request.receive))

    def is_wanted() -> bool:
        return not (leaving.done() or (task is not None and task.cancelling()))

    try:
        yield is_wanted
    finally:
        leaving.cancel()


def _form(
    fetch: Callable[[Path, Callable[[], bool]], str],
    reference: Reference,
    path: Path,
    is_wanted: Callable[[], bool],
) -> Form:
    """Fetch a song, and return a form as if it had been uploaded."""
    try:
        with disk_full_as_unavailable():
            found = fetch(path, is_wanted)
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise Unavailable(
            "The server could not write the song to its disk. Try again later."
        ) from err
    name = reference.filename or titles.clean(found)
    return Form(name, size_bytes, sha256, reference.fields)


async def _read(request: Request, reader: FormReader, rules: FormRules) -> Form:
    pending, total_bytes = bytearray(), 0
    try:
        async for chunk in request.stream():
            total_bytes += len(chunk)
            if total_bytes > rules.max_body_bytes:
                raise too_large(rules)
            # Some servers pass the whole body at once.
            for start in range(0, len(chunk), BATCH_BYTES):
                pending += memoryview(chunk)[start : start + BATCH_BYTES]
                if len(pending) >= BATCH_BYTES:
                    await run_in_thread(reader.feed, bytes(pending))
                    pending.clear()
    except ClientDisconnect as err:
        raise BadRequest(
            "The connection was closed before the whole song was received. Send it "
            "again."
        ) from err
    await run_in_thread(reader.feed, bytes(pending))
    return await run_in_thread(reader.finish)
