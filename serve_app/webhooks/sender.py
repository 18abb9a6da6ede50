"""The loop that brings messages to the webhooks of clients."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from serve_app.errors import AppError, RefusedUrl, UnreachableUrl
from serve_app.webhooks.channel import Channel
from serve_app.webhooks.delivery import Attempt, Delivery
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.schedule import wish_seconds

logger = logging.getLogger(__name__)

_GONE = 410
_BUSY = (429, 503)


class Sender:
    """Sends what is due in `outbox` by one channel; `luck` returns 0 to 1."""

    def __init__(
        self,
        outbox: Outbox,
        channel: Channel,
        clock: Callable[[], datetime],
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._channel = channel
        self._policy = channel.policy
        self._clock = clock
        self._luck = luck
        # Not those of the event loop: who hangs here must not keep others from working.
        self._threads = ThreadPoolExecutor(self._policy.at_once, channel.name)
        self._sending: dict[asyncio.Future[None], str] = {}
        self._wake = asyncio.Event()
        self._trouble: str | None = None

    async def run_forever(self) -> None:
        """Send what is due until cancelled; what is being sent then is seen through."""
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
        """Return what an operator wants to see; `trouble` is None when all is well."""
        return {"sending": len(self._sending), "trouble": self._trouble}

    async def _begin_all(self) -> bool:
        """Begin with all that is due, or fits; False when that can't be known now."""
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
            # The loop must go on: the database may come back.
            logger.warning("webhooks can't be looked for", exc_info=err)
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
        # Not `wait_for`: in Python 3.11 it loses a cancellation that meets the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _deliver(self, delivery: Delivery) -> None:
        """Send a message and write down what came of it; never raises."""
        try:
            self._settle(delivery, *self._attempt(delivery))
        except AppError as err:
            # Unless another sender has it, it is sent again once its lease is over.
            logger.warning("webhook attempt not recorded %s: %s", _named(delivery), err)
        except Exception:
            logger.exception("webhook attempt not recorded %s", _named(delivery))

    def _attempt(self, delivery: Delivery) -> tuple[Attempt, float]:
        """Send a message; return what came of it and how long its receiver wants peace.

        Nothing of an answer's body is read: its status says it all.
        """
        at, start = self._clock(), time.monotonic()
        status = error = None
        wish = 0.0
        channel = self._channel
        deadline = start + self._policy.answer_seconds
        try:
            body = channel.body(delivery.body)
            headers = channel.headers(delivery.id, body, at)
            with channel.asker.post(delivery.url, headers, body, deadline) as answer:
                status = answer.status
                if status in _BUSY:
                    wish = wish_seconds(answer.headers.get("retry-after", ""), at)
        except (RefusedUrl, UnreachableUrl) as err:
            error = err.detail
        except Exception:
            logger.exception("webhook attempt crashed %s", _named(delivery))
            error = "The service failed on it; see its log."
        if status is not None and 300 <= status < 400:
            error = "It redirects, and redirects are not followed."
        seconds = round(time.monotonic() - start, 3)
        return Attempt(at, seconds, status, error), wish

    def _settle(self, delivery: Delivery, attempt: Attempt, wish: float) -> None:
        status = attempt.status
        if status is not None and 200 <= status < 300:
            self._outbox.delivered(delivery, attempt)
            logger.info("webhook delivered %s status=%d", _named(delivery), status)
        elif status == _GONE:
            self._outbox.disabled(delivery, attempt)
        else:
            self._put_off(delivery, attempt, wish)

    def _put_off(self, delivery: Delivery, attempt: Attempt, wish: float) -> None:
        delay = self._channel.delay_seconds(delivery.failures + 1, self._luck(), wish)
        retry_at = self._clock() + timedelta(seconds=delay)
        reason = attempt.error or f"it answers {attempt.status}"
        if self._outbox.failed(delivery, attempt, retry_at):
            line = "webhook failed %s status=%s retry_in=%.0fs: %s"
            logger.info(line, _named(delivery), attempt.status, delay, reason)
        else:
            line = "webhook given up %s status=%s: %s"
            logger.warning(line, _named(delivery), attempt.status, reason)


def _named(delivery: Delivery) -> str:
    """Return what tells a delivery from all others in a log."""
    return (
        f"job={delivery.job_id} delivery={delivery.id} host={delivery.host} "
        f"attempt={delivery.attempt}"
    )
