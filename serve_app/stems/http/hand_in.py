"""A request that becomes a job, once, whatever its client sends again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.api import idempotency
from serve_app.api.idempotency import Once
from serve_app.api.threads import run_in_thread
from serve_app.errors import Unavailable
from serve_app.idempotency.response import StoredResponse
from serve_app.idempotency.store import ResponseReceipt

# The gateways of old clients take any other status for a failure, 202 too.
STATUS = 200

Body = Mapping[str, Any]
Headers = Mapping[str, str]
NO_HEADERS: Headers = {}
REPLAYED: Headers = {idempotency.REPLAYED: "true"}


async def answered_before(once: Once | None) -> Body | None:
    """Return the body of the answer to the same request, if there was one."""
    before = None if once is None else await once.before()
    return None if before is None else before.body


@dataclass(frozen=True)
class Files:
    """The files of a new job.

    `store` puts them into the storage, and `discard` deletes them if there will be no
    job.
    """

    store: Callable[[], None]
    discard: Callable[[], None]


async def hand_in(
    add: Callable[[ResponseReceipt | None], StoredResponse | None],
    files: Files,
    once: Once | None,
    body: Body,
) -> tuple[Body, Headers]:
    """Store the files of a job and `add` it; return the answer's body and headers.

    The answer is `body`, or that to the same request if it was sent before.
    """
    receipt = ResponseReceipt(once.answer(STATUS, {}, body)) if once else None
    before = await run_in_thread(_add, add, files, receipt)
    if once is None or before is None:
        return body, NO_HEADERS
    return once.checked(before).body, REPLAYED


def _add(
    add: Callable[[ResponseReceipt | None], StoredResponse | None],
    files: Files,
    receipt: ResponseReceipt | None,
) -> StoredResponse | None:
    """Store the files, then the row: a dispatcher may claim it at once."""
    try:
        files.store()
        before = add(receipt)
    except Unavailable:
        # The row may have been written all the same; if not, a sweep deletes the files.
        raise
    except BaseException:
        files.discard()
        raise
    if before is not None:
        files.discard()
    return before
