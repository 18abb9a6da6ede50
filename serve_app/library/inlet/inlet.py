"""The loop that makes jobs of the messages of a queue."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from serve_app.errors import AppError, QueueFull, Unavailable
from serve_app.jobs.log import quoted
from serve_app.library.arrivals import Arrivals
from serve_app.library.inlet.sqs import Received

logger = logging.getLogger(__name__)

# SQS bills each call; a stop of the process waits no longer than this for one.
_WAIT_SECONDS = 10
_PAUSE_SECONDS = 1.0
_BACKOFF_SECONDS = 5.0


class Source(Protocol):
    """What the inlet needs of a queue; see `sqs.Queue`."""

    def receive(self, wait_seconds: int, most: int) -> Sequence[Received]:
        """Return some messages, or none after that time."""

    def delete(self, received: Sequence[Received]) -> None:
        """Delete messages."""

    def give_back(self, received: Sequence[Received]) -> None:
        """Let messages be received again at once."""


class Inlet:
    """Receives messages and adds their jobs with `arrivals`; `wake` gets each kind.

    A message is deleted after its job is committed. If that fails, it comes again.
    """

    def __init__(
        self, queue: Source, arrivals: Arrivals, wake: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._arrivals = arrivals
        self._wake = wake
        self._trouble: str | None = None
        self._is_full = False

    async def run_forever(self) -> None:
        """Receive messages until cancelled."""
        while True:
            try:
                self._is_full = not await asyncio.to_thread(self._step)
                self._trouble = None
                pause_seconds = _PAUSE_SECONDS if self._is_full else 0.0
            except Exception as err:
                # The loop must go on: the queue may be reachable again later.
                self._say(err)
                pause_seconds = _BACKOFF_SECONDS
            await asyncio.sleep(pause_seconds)

    def status(self) -> Mapping[str, Any]:
        """Return the status for operators; `trouble` is the last error, or None."""
        return {"inlet": {"trouble": self._trouble, "is_full": self._is_full}}

    def _step(self) -> bool:
        """Take some messages; return False if there is no room for their jobs."""
        room = self._arrivals.room()
        if room < 1:
            return False
        taken: list[Received] = []
        failures: list[Exception] = []
        received = self._queue.receive(_WAIT_SECONDS, room)
        for message in received:
            try:
                self._arrivals.take(message.text, message.id)
                taken.append(message)
            except (Unavailable, QueueFull) as err:
                failures.append(err)
                break
            except Exception as err:
                # It comes again. Those behind it are taken nevertheless.
                failures.append(err)
        if taken:
            self._wake()
            self._queue.delete(taken)
        return self._is_fine(received, taken, failures)

    def _is_fine(
        self,
        received: Sequence[Received],
        taken: Sequence[Received],
        failures: Sequence[Exception],
    ) -> bool:
        """Raise what was unexpected; return False if there was no room for the rest."""
        unexpected = [err for err in failures if not isinstance(err, QueueFull)]
        if unexpected:
            raise unexpected[0]
        if failures:
            # Another one, or HTTP, took the room: else they would be received, and
            # counted as such, again and again.
            self._queue.give_back([each for each in received if each not in taken])
        return not failures

    def _say(self, err: Exception) -> None:
        """Log an error once, and again when it changes."""
        if str(err) == self._trouble:
            return
        self._trouble = str(err)
        known = isinstance(err, AppError)
        logger.warning(
            "library queue not read error=%s",
            quoted(str(err)),
            exc_info=None if known else err,
        )
