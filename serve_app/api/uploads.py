"""Songs on their way in: streamed to disk, checked, decoded, gone when done with."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from serve_app.api.multipart import Form, FormReader, FormRules, too_large
from serve_app.api.services import Services
from serve_app.api.threads import run
from serve_app.audio.facts import AudioFacts
from serve_app.errors import BadRequest
from serve_app.working import working_directory

# Few hops to a thread per upload, little memory per upload.
BATCH_BYTES = 256 * 1024

# The other threads stay free for the clients that poll.
DECODES_AT_ONCE = 2


@dataclass(frozen=True)
class Upload:
    """A form whose file lies at `path` for as long as the request takes."""

    path: Path
    form: Form


class Intake:
    """Takes songs in, whole and checked, or leaves nothing of them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._decoding = asyncio.Semaphore(DECODES_AT_ONCE)

    @asynccontextmanager
    async def receive(
        self, request: Request, fields: Sequence[str] = ()
    ) -> AsyncIterator[Upload]:
        """Receive the form of `request`; its file is deleted at the end of the block.

        Raises UploadTooLarge, before it reads anything where the length is announced,
        BadRequest for what is no form and InvalidField for what is wrong in one.
        """
        rules = FormRules(tuple(fields), self._services.limits.max_upload_bytes)
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > rules.max_body_bytes:
            raise too_large(rules)
        content_type = request.headers.get("content-type", "")
        with ExitStack() as stack:
            working = working_directory(self._services.working_dir, "upload-")
            path = await run(stack.enter_context, working) / "original"
            reader = FormReader(content_type, path, rules)
            stack.callback(reader.close)
            try:
                yield Upload(path, await _read(request, reader, rules))
            finally:
                await run(stack.close)

    async def measure(self, upload: Upload) -> AudioFacts:
        """Decode the song whole; raises UnreadableAudio and AudioTooLong."""
        async with self._decoding:
            return await run(self._services.measure, upload.path)


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
                    await run(reader.feed, bytes(pending))
                    pending.clear()
    except ClientDisconnect as err:
        raise BadRequest(
            "The connection was closed before the whole song had come. Send it again."
        ) from err
    await run(reader.feed, bytes(pending))
    return await run(reader.finish)
