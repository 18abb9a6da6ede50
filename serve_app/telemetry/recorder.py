"""What happens in a process, recorded as metrics."""

from collections.abc import Mapping

from serve_app.api.middleware import RequestEnd
from serve_app.jobs.attempt import AttemptEnd
from serve_app.telemetry import catalogue
from serve_app.telemetry.meter import Meter
from serve_app.webhooks.sender import SendEnd

# Other methods are text of clients.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_OTHER = "other"


class Recorder:
    """The callbacks of the parts of the service that report what happens in them."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def attempt_ended(self, system: str, end: AttemptEnd) -> None:
        """Record the end of an attempt at a job of `system`."""
        meter = self._meter
        meter.count(
            catalogue.ATTEMPTS, kind=end.kind, outcome=end.outcome, reason=end.reason
        )
        if end.audio_seconds:
            meter.count(catalogue.AUDIO_SECONDS, end.audio_seconds, system=system)
        for stage, seconds in end.steps_seconds.items():
            meter.observe(catalogue.STAGE_SECONDS, seconds, system=system, stage=stage)

    def batch_computed(self, fill_ratio: float, seconds: float) -> None:
        """Record a batch of windows."""
        self._meter.observe(catalogue.BATCH_FILL_RATIO, fill_ratio)
        self._meter.observe(catalogue.BATCH_SECONDS, seconds)

    def device_memory(self, memory_bytes: Mapping[tuple[str, str], int]) -> None:
        """Record the memory of devices, by device and what it is."""
        for (device, what), value in memory_bytes.items():
            self._meter.set(
                catalogue.DEVICE_MEMORY_BYTES, value, device=device, what=what
            )

    def webhook_attempted(self, end: SendEnd) -> None:
        """Record an attempt to send a webhook."""
        self._meter.count(catalogue.WEBHOOK_DELIVERIES, outcome=end.outcome)

    def database_failed(self, reason: str) -> None:
        """Record a transaction that failed."""
        self._meter.count(catalogue.DATABASE_ERRORS, reason=reason)

    def storage_failed(self, operation: str) -> None:
        """Record a call of the file storage that failed."""
        self._meter.count(catalogue.STORAGE_ERRORS, operation=operation)

    def spans_dropped(self, reason: str, number: int) -> None:
        """Record spans that were not exported."""
        self._meter.count(catalogue.SPANS_DROPPED, number, reason=reason)

    def request_ended(self, end: RequestEnd) -> None:
        """Record a request."""
        route = end.route or _OTHER
        self._meter.count(
            catalogue.HTTP_REQUESTS,
            route=route,
            method=end.method if end.method in _METHODS else _OTHER,
            status=f"{end.status // 100}xx" if end.status else "none",
        )
        self._meter.observe(catalogue.HTTP_SECONDS, end.seconds, route=route)
