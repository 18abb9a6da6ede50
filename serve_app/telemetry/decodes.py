"""The songs that an Api decodes when they arrive."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from serve_app.errors import AppError
from serve_app.telemetry import catalogue
from serve_app.telemetry.meter import NO_METER, RENEW_SECONDS, Meter
from serve_app.telemetry.tracing.traces import NO_TRACES, Traces

_OK, _CANCELLED = "ok", "cancelled"


class Decodes:
    """Records the songs that are decoded. For one event loop."""

    def __init__(self, meter: Meter = NO_METER, traces: Traces = NO_TRACES) -> None:
        self._meter = meter
        self._traces = traces
        self._running = 0

    @contextmanager
    def recorded(self, waited_seconds: float) -> Iterator[None]:
        """Record the decoding of a song during the block, and its outcome."""
        self._meter.observe(catalogue.DECODE_WAIT_SECONDS, waited_seconds)
        self._change(1)
        outcome = _CANCELLED
        waited = {"stemserve.wait_seconds": waited_seconds}
        try:
            with self._traces.step("decode", waited):
                yield
            outcome = _OK
        except Exception as error:
            outcome = error.code if isinstance(error, AppError) else AppError.code
            raise
        finally:
            self._change(-1)
            self._meter.count(catalogue.DECODES, outcome=outcome)

    async def keep_gauge(self) -> None:
        """Set the gauge again and again, until cancelled: exporters forget it."""
        while True:
            self._change(0)
            await asyncio.sleep(RENEW_SECONDS)

    def _change(self, by: int) -> None:
        self._running += by
        self._meter.set(catalogue.DECODES_RUNNING, self._running)
