"""A bounded queue of requests, from which those that agree are made together."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Condition, Thread

from serve_app.diffusion.errors import OutOfDeviceMemory, Stopped
from serve_app.diffusion.port import Engine, ImageRequest, Made, Step
from serve_app.errors import QueueFull, Unavailable

logger = logging.getLogger(__name__)

OnStep = Callable[[Step], None]
# Before there is a batch to tell by.
_FIRST_GUESS_SECONDS = 5.0
# The share of the last batch in the mean.
_NEWEST = 0.3


@dataclass(frozen=True, eq=False)
class Ticket:
    """A request in the queue or in a batch; `future` gets its images.

    Cancelling the future, also by `asyncio.wrap_future`, is the same as `cancel`.
    """

    request: ImageRequest
    key: tuple[object, ...]
    future: "Future[Made]"
    on_step: OnStep | None
    with_preview: bool

    def cancel(self) -> None:
        """Leave the queue at once, or stop a batch that nobody else waits for."""
        self.future.cancel()


class Batcher:
    """Makes the images of requests with an engine, in a thread of its own.

    At most `most_requests` wait or are being made; more are refused. Requests with the
    engine's batch key of the oldest are taken together, up to `most_images` images. A
    request with more is taken alone.
    """

    def __init__(self, engine: Engine, most_requests: int, most_images: int) -> None:
        if min(most_requests, most_images) < 1:
            raise ValueError("most_requests and most_images must be at least 1")
        self._engine = engine
        self._most_requests = most_requests
        self._most_images = most_images
        self._changed = Condition()
        self._waiting: list[Ticket] = []
        self._running: list[Ticket] = []
        self._closed = False
        self._mean_seconds = _FIRST_GUESS_SECONDS
        self._stepped_at = 0.0
        self._thread = Thread(target=self._serve, name="images", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return len(self._waiting)

    @property
    def mean_batch_seconds(self) -> float:
        """The mean duration of a batch; newer ones count more."""
        return self._mean_seconds

    def stalled_seconds(self) -> float:
        """Return for how long the running batch has made no step; 0 if none runs."""
        return time.monotonic() - self._stepped_at if self._running else 0.0

    def submit(
        self,
        request: ImageRequest,
        on_step: OnStep | None = None,
        with_preview: bool = False,
    ) -> Ticket:
        """Queue a request.

        `on_step` is called in the batcher's thread after each step. Raises QueueFull
        with the seconds until there should be room, InvalidInput for what the engine
        can't make, and Unavailable after `close`.
        """
        key = self._engine.batch_key(request)
        ticket = Ticket(request, key, Future(), on_step, with_preview)
        with self._changed:
            if self._closed:
                raise Unavailable("The image engine is shutting down. Try again later.")
            running = sum(not one.future.done() for one in self._running)
            if len(self._waiting) + running >= self._most_requests:
                raise self._full()
            self._waiting.append(ticket)
            self._changed.notify()
        ticket.future.add_done_callback(partial(self._left, ticket))
        return ticket

    def close(self) -> None:
        """Cancel all requests and end the thread, within a step of a running batch."""
        with self._changed:
            self._closed = True
            tickets = [*self._waiting, *self._running]
            self._changed.notify()
        for ticket in tickets:
            ticket.cancel()
        self._thread.join()

    def _full(self) -> QueueFull:
        images = sum(len(one.request.seeds) for one in self._waiting)
        batches = 1 + images / self._most_images
        seconds = math.ceil(batches * self._mean_seconds)
        return QueueFull(
            f"The queue for images is full: it holds {self._most_requests} requests. "
            f"Try again in {seconds} s.",
            seconds,
        )

    def _left(self, ticket: Ticket, future: "Future[Made]") -> None:
        """Take a cancelled request out of the queue."""
        if not future.cancelled():
            return
        with self._changed:
            if ticket not in self._waiting:
                # It runs: the batcher's thread sees that it was cancelled.
                return
            self._waiting.remove(ticket)
        # `concurrent.futures.wait` would not return without this.
        future.set_running_or_notify_cancel()

    def _serve(self) -> None:
        while not self._closed:
            if batch := self._next_batch():
                self._run(batch)
                with self._changed:
                    self._running = []

    def _next_batch(self) -> list[Ticket]:
        """Wait for requests and return a batch of them; an empty one after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return []
            first, *others = self._waiting
            batch, images = [first], len(first.request.seeds)
            for ticket in others:
                more = len(ticket.request.seeds)
                if ticket.key == first.key and images + more <= self._most_images:
                    batch.append(ticket)
                    images += more
            self._waiting = [one for one in self._waiting if one not in batch]
            self._stepped_at = time.monotonic()
            self._running = batch
            return batch

    def _run(self, batch: Sequence[Ticket]) -> None:
        """Make a batch, and deliver its images or its error."""
        began = time.monotonic()
        try:
            made = self._made(batch)
        except Stopped:
            for ticket in batch:
                _deliver(ticket, Stopped())
            return
        except Exception as err:
            self._run_again(batch, err)
            return
        seconds = time.monotonic() - began
        self._mean_seconds += _NEWEST * (seconds - self._mean_seconds)
        for ticket, each in zip(batch, made, strict=True):
            _deliver(ticket, each)

    def _made(self, batch: Sequence[Ticket]) -> list[Made]:
        return self._engine.make(
            [ticket.request for ticket in batch],
            partial(_report, batch),
            partial(self._is_wanted, batch),
            frozenset(
                index for index, ticket in enumerate(batch) if ticket.with_preview
            ),
        )

    def _is_wanted(self, batch: Sequence[Ticket]) -> bool:
        """Whether anyone waits for a batch; engines ask once a step."""
        self._stepped_at = time.monotonic()
        return not all(ticket.future.cancelled() for ticket in batch)

    def _run_again(self, batch: Sequence[Ticket], err: Exception) -> None:
        """Make a failed batch one by one, to isolate the request that fails."""
        if len(batch) == 1:
            _deliver(batch[0], err)
            return
        if isinstance(err, OutOfDeviceMemory):
            self._most_images = max(1, self._most_images // 2)
            logger.warning(
                "image batch exceeds device memory requests=%d most_images=%d",
                *(len(batch), self._most_images),
            )
        for ticket in batch:
            self._run([ticket])


def _report(batch: Sequence[Ticket], steps: Mapping[int, Step]) -> None:
    """Tell each request its step; one that fails to listen does not stop others."""
    for index, step in steps.items():
        ticket = batch[index]
        if ticket.on_step is None or ticket.future.cancelled():
            continue
        try:
            ticket.on_step(step)
        except Exception:
            logger.exception("image step report failed step=%d", step.number)


def _deliver(ticket: Ticket, result: Made | Exception) -> None:
    """Give a request its images or its error, unless it was cancelled.

    Until here its future is pending, so that it can be cancelled at any time.
    """
    if not ticket.future.set_running_or_notify_cancel():
        return
    if isinstance(result, Exception):
        ticket.future.set_exception(result)
    else:
        ticket.future.set_result(result)
