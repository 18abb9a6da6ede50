"""Songs on their way in: brought to disk, checked, decoded, gone when done with."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request

from serve_app.api.clients import Client
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

# Few hops to a thread per upload, little memory per upload.
BATCH_BYTES = 1024 * 1024

# In threads of their own: the others stay free for the clients that poll. More than one
# has cores for, so that short songs are decoded beside some clients' long ones, which
# give way to them. Each may take `STEMSERVE_DECODE_MEMORY_BYTES`.
DECODES_AT_ONCE = 8
DECODES_OF_A_CLIENT = 2

# In threads of their own: they wait for others, some of which are slow.
FETCHES_AT_ONCE = 8

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Upload:
    """A form whose file lies at `path` for as long as the request takes."""

    path: Path
    form: Form


class Arrival:
    """A request for a song, and the song itself once it is asked for.

    `said` is all that the request says, as JSON can hold it.
    """

    def __init__(
        self, said: Sequence[Any], fetch: Callable[[], Awaitable[Upload]]
    ) -> None:
        self.said = said
        self.has_come = False
        self._fetch = fetch

    async def upload(self) -> Upload:
        """Return the song; raises what `Intake.receive` names for one elsewhere."""
        upload = await self._fetch()
        self.has_come = True
        return upload


class Intake:
    """Takes songs in, whole and checked, or leaves nothing of them."""

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
        """Receive the form of a client, or the JSON body that names its song.

        A song that lies elsewhere is fetched when the block asks for it. The file is
        deleted at the end of the block, and so is a direct upload that was fetched if
        the block does not raise. Raises UploadTooLarge, before it reads anything where
        the length is announced, BadRequest for what is no form, InvalidField for what
        is wrong in one, StorageFull when there is no room for more songs, and what
        `Arrivals.fetch` and `DirectUploads.fetch` raise.
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
                    if arrival.has_come:
                        await self._use_up(reference, client)
                else:
                    content_type = request.headers.get("content-type", "")
                    reader = FormReader(content_type, path, rules)
                    stack.callback(reader.close)
                    form = await _read(request, reader, rules)
                    yield _arrived(Upload(path, form))
            finally:
                await run_in_thread(stack.close)

    async def measure(
        self, request: Request, client: Client, upload: Upload
    ) -> AudioFacts:
        """Decode the song whole, for as long as its client waits.

        Raises what `Arrivals.measure` raises.
        """
        async with self._decoding.held(client.name), _wanted(request) as is_wanted:
            measure = self._arrivals.measure
            return await run_in(self._decoders, measure, upload.path, is_wanted)

    async def _fetched(
        self,
        request: Request,
        client: Client,
        reference: Reference,
        path: Path,
        stack: ExitStack,
    ) -> Upload:
        """Bring the song of a reference to `path`, for as long as its client waits.

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

    async def _use_up(self, reference: Reference, client: Client) -> None:
        """Delete a direct upload that has become what its client wanted."""
        if not reference.upload_id:
            return
        uploads = direct_uploads(self._arrivals)
        try:
            await run_in_thread(
                uploads.give_up, upload_place(reference.upload_id, client)
            )
        except StorageUnavailable as err:
            # The job is accepted: the sweep deletes what is left.
            logger.warning("upload %s stays for now: %s", reference.upload_id, err)


def _is_more(announced: str, most_bytes: int) -> bool:
    """Whether a Content-Length, of however many digits, is above a limit."""
    digits = announced.lstrip("0")
    return digits.isdecimal() and (len(digits) > 18 or int(digits) > most_bytes)


def _arrived(upload: Upload) -> Arrival:
    """Return a song that came with its request."""

    async def fetch() -> Upload:
        return upload

    form = upload.form
    return Arrival([form.sha256, form.filename, sorted(form.fields)], fetch)


def direct_uploads(arrivals: Arrivals) -> DirectUploads:
    """Return where files can be sent directly; NoDirectUploads if there is nothing."""
    if arrivals.uploads is None:
        raise NoDirectUploads(
            "Files can't be sent to the store directly here, as it is a directory: "
            "send the song to /separate as a form."
        )
    return arrivals.uploads


def upload_place(upload_id: str, client: Client) -> str:
    """Return the name under which the store has a client's upload.

    It depends on the tenant: whoever names another's finds nothing. Raises
    UploadNotFound for what can be no id.
    """
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise UploadNotFound(
            "There is no such upload. Begin one by POST /uploads, and use its id."
        )
    if not client.is_tenant:
        return upload_id
    return f"{upload_id}-{hashlib.sha256(client.tenant.encode()).hexdigest()}"


@asynccontextmanager
async def _wanted(request: Request) -> AsyncIterator[Callable[[], bool]]:
    """Yield what tells, in any thread, whether the client still waits."""
    task = asyncio.current_task()
    leaving = asyncio.ensure_future(_disconnected(request))

    def is_wanted() -> bool:
        return not (leaving.done() or (task is not None and task.cancelling()))

    try:
        yield is_wanted
    finally:
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    """Return when the client has gone; its whole body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _form(
    fetch: Callable[[Path, Callable[[], bool]], str],
    reference: Reference,
    path: Path,
    is_wanted: Callable[[], bool],
) -> Form:
    """Fetch a song; return the form that would have brought it."""
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
            # Some servers hand over the whole body at once.
            for start in range(0, len(chunk), BATCH_BYTES):
                pending += memoryview(chunk)[start : start + BATCH_BYTES]
                if len(pending) >= BATCH_BYTES:
                    await run_in_thread(reader.feed, bytes(pending))
                    pending.clear()
    except ClientDisconnect as err:
        raise BadRequest(
            "The connection was closed before the whole song had come. Send it again."
        ) from err
    await run_in_thread(reader.feed, bytes(pending))
    return await run_in_thread(reader.finish)
