"""The loop that sends the messages of a channel."""

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from serve_app.errors import AppError, RefusedUrl, UnreachableUrl
from serve_app.webhooks.channel import Channel
from serve_app.webhooks.delivery import Attempt, Delivery
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.schedule import retry_after_seconds

logger = logging.getLogger(__name__)

_GONE = 410
_BUSY = (429, 503)


class SendOutcome(StrEnum):
    """The outcome of an attempt to send a message."""

    DELIVERED = "delivered"
    RETRIED = "retried"  # it failed, and another attempt follows
    DEAD = "dead"  # it failed, and none follows


@dataclass(frozen=True)
class SendEnd:
    """The end of an attempt to send a message, and the status of the response."""

    outcome: SendOutcome
    status: int | None


OnStart = Callable[[Delivery], AbstractContextManager[object]]
OnEnd = Callable[[SendEnd], None]


@dataclass(frozen=True)
class Hooks:
    """What a sender calls, in any thread.

    Each attempt is made within `on_start`, and `on_end` gets its end there.
    """

    on_start: OnStart = nullcontext
    on_end: OnEnd = lambda _: None


_NO_HOOKS = Hooks()


class Sender:
    """Sends the due messages of a channel; `jitter` returns 0 to 1."""

    def __init__(
        self,
        outbox: Outbox,
        channel: Channel,
        clock: Callable[[], datetime],
        jitter: Callable[[], float] = random.random,
        hooks: Hooks = _NO_HOOKS,
    ) -> None:
        self._outbox = outbox
        self._channel = channel
        self._policy = channel.policy
        self._clock = clock
        self._jitter = jitter
        self._hooks = hooks
        # Own threads: a receiver that hangs must not block those of the event loop.
        self._threads = ThreadPoolExecutor(self._policy.at_once, channel.name)
        self._sending: dict[asyncio.Future[None], str] = {}
        self._wake = asyncio.Event()
        self._trouble: str | None = None

    async def run_forever(self) -> None:
        """Send due messages until cancelled; then wait for those being sent."""
        try:
            while True:
                self._wake.clear()
                fine = await self._begin_all()
                usual = self._policy.poll_seconds
                await self._pause(usual if fine else self._policy.backoff_seconds)
        finally:
            if self._sending:
                await asyncio.wait(self._sending)
            self._threads.shutdown(wait=False)

    def status(self) -> Mapping[str, Any]:
        """Return the status for operators; `trouble` is the last error, or None."""
        return {"sending": len(self._sending), "trouble": self._trouble}

    async def _begin_all(self) -> bool:
        """Start sending due messages, up to the limit; return False if that failed."""
        try:
            while len(self._sending) < self._policy.at_once:
                delivery = await asyncio.to_thread(
                    self._outbox.claim,
                    self._policy.lease_seconds,
                    self._busy_hosts(),
                    self._channel.name,
                )
                if delivery is None:
                    break
                self._begin(delivery)
        except Exception as err:
            # The loop must go on: the database may be reachable again later.
            logger.warning("webhook claim failed", exc_info=err)
            self._trouble = str(err)
            return False
        self._trouble = None
        return True

    def _busy_hosts(self) -> list[str]:
        most, hosts = self._policy.at_once_per_host, Counter(self._sending.values())
        return [host for host, sending in hosts.items() if sending >= most]

    def _begin(self, delivery: Delivery) -> None:
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(self._threads, self._deliver, delivery)
        self._sending[sending] = delivery.host
        sending.add_done_callback(self._on_done)

    def _on_done(self, sending: asyncio.Future[None]) -> None:
        del self._sending[sending]
        self._wake.set()

    async def _pause(self, seconds: float) -> None:
        # Not `wait_for`: Python 3.11's loses a cancellation that comes with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _deliver(self, delivery: Delivery) -> None:
        """Send a message and record the attempt; never raises."""
        with self._hooks.on_start(delivery):
            self._send(delivery)

    def _send(self, delivery: Delivery) -> None:
        try:
            attempt, retry_after = self._attempt(delivery)
            outcome = self._settle(delivery, attempt, retry_after)
            self._hooks.on_end(SendEnd(outcome, attempt.status))
        except AppError as err:
            # It is sent again when its lease ends, unless another sender claimed it.
            line = "webhook attempt not recorded %s error=%s"
            logger.warning(line, _named(delivery), json.dumps(str(err)))
        except Exception:
            logger.exception("webhook attempt not recorded %s", _named(delivery))

    def _attempt(self, delivery: Delivery) -> tuple[Attempt, float]:
        """Send a message; return the attempt and the receiver's Retry-After in seconds.

        The body of the response is not read.
        """
        at, start = self._clock(), time.monotonic()
        status = error = None
        retry_after = 0.0
        channel = self._channel
        deadline = start + self._policy.timeout_seconds
        try:
            body = channel.body(delivery.body)
            headers = channel.headers(delivery.id, body, at)
            with channel.asker.post(delivery.url, headers, body, deadline) as answer:
                status = answer.status
                if status in _BUSY:
                    retry_after = retry_after_seconds(
                        answer.headers.get("retry-after", ""), at
                    )
        except (RefusedUrl, UnreachableUrl) as err:
            error = err.detail
        except Exception:
            logger.exception("webhook attempt crashed %s", _named(delivery))
            error = "The server failed to send it: internal error, see its log."
        if status is not None and 300 <= status < 400:
            error = "The URL redirects. Redirects of webhooks are not followed."
        seconds = round(time.monotonic() - start, 3)
        return Attempt(at, seconds, status, error), retry_after

    def _settle(
        self, delivery: Delivery, attempt: Attempt, retry_after: float
    ) -> SendOutcome:
        status = attempt.status
        if status is not None and 200 <= status < 300:
            self._outbox.delivered(delivery, attempt)
            line = "webhook delivery succeeded %s status=%d"
            logger.info(line, _named(delivery), status)
            return SendOutcome.DELIVERED
        if status == _GONE and self._channel.stops_when_gone:
            self._outbox.disabled(delivery, attempt)
            return SendOutcome.DEAD
        return self._put_off(delivery, attempt, retry_after)

    def _put_off(
        self, delivery: Delivery, attempt: Attempt, retry_after: float
    ) -> SendOutcome:
        delay = self._channel.delay_seconds(
            delivery.failures + 1, self._jitter(), retry_after
        )
        retry_at = self._clock() + timedelta(seconds=delay)
        status = "-" if attempt.status is None else attempt.status
        reason = json.dumps(attempt.error) if attempt.error else "-"
        if self._outbox.failed(delivery, attempt, retry_at):
            line = "webhook delivery failed %s status=%s retry_in=%.0fs error=%s"
            is_news = self._policy.warns and delivery.failures == 0
            level = logging.WARNING if is_news else logging.INFO
            logger.log(level, line, _named(delivery), status, delay, reason)
            return SendOutcome.RETRIED
        line = "webhook delivery abandoned %s status=%s error=%s"
        logger.warning(line, _named(delivery), status, reason)
        return SendOutcome.DEAD


def _named(delivery: Delivery) -> str:
    """Return the fields of a log line that identify a delivery."""
    return (
        f"job={delivery.job_id} delivery={delivery.id} url_host={delivery.host} "
        f"attempt={delivery.attempt}"
    )
