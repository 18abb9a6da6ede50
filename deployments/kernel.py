"""The services that all systems of an application share, built once per process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import uuid4

from deployments.files import direct_uploads, file_storage
from deployments.wiring import database, now
from serve_app.database import Database
from serve_app.idempotency.store import StoredResponses
from serve_app.jobs.attempt import AttemptEnd
from serve_app.jobs.dispatcher import (
    Discard,
    Dispatcher,
    DispatchPolicy,
    Hooks,
    Reuse,
)
from serve_app.jobs.expiry import Expiry
from serve_app.jobs.job import Q, R
from serve_app.jobs.kind import Kind
from serve_app.jobs.owners import Owners
from serve_app.jobs.runner import Runner
from serve_app.jobs.store import JobStore, Settle
from serve_app.settings import Settings
from serve_app.storage.port import DirectUploads, Storage
from serve_app.telemetry.meter import NO_METER, Meter
from serve_app.telemetry.recorder import Recorder
from serve_app.telemetry.tracing.traces import NO_TRACES, Traces
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.sender import Hooks as SenderHooks
from serve_app.webhooks.sender import SendEnd

# New jobs wake their dispatcher; polls find retries, and the jobs of dead dispatchers.
_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Kernel:
    """The database, the outbox, the recorded responses and the file store.

    `system` is the one that gets it, or "". The `meter` records metrics, and `traces`
    what happens as spans.
    """

    settings: Settings
    database: Database
    outbox: Outbox
    owners: Owners
    answers: StoredResponses
    storage: Storage
    uploads: DirectUploads | None
    clock: Callable[[], datetime] = now
    meter: Meter = NO_METER
    traces: Traces = NO_TRACES
    system: str = ""

    @property
    def recorder(self) -> Recorder:
        """The callbacks that record metrics."""
        return Recorder(self.meter)

    @property
    def sender_hooks(self) -> SenderHooks:
        """What the sender of webhooks calls."""

        def on_end(end: SendEnd) -> None:
            self.recorder.webhook_attempted(end)
            self.traces.delivery_ended(end)

        return SenderHooks(self.traces.delivery, on_end)

    def store(
        self,
        kind: Kind[Q, R],
        settle: Settle[Q, R] = lambda *_: None,
    ) -> JobStore[Q, R]:
        """Return the store for jobs of a kind; see `JobStore`."""
        return JobStore(self.database, self.clock, kind, self.outbox.post, settle)

    def expiry(self, store: JobStore[Q, R]) -> Expiry:
        """Return the sweep that deletes expired jobs of a kind."""
        return Expiry(store, self.storage, self.clock)

    def dispatcher(
        self,
        store: JobStore[Q, R],
        run: Runner,
        in_flight: int,
        share_limit: int = 1_000_000,
        reuse: Reuse = lambda _: None,
        discard: Discard = lambda _: None,
    ) -> Dispatcher:
        """Return the dispatcher that runs jobs of a kind; see `Dispatcher`."""
        lease_seconds = self.settings.lease_seconds
        policy = DispatchPolicy(
            in_flight=in_flight,
            share_limit=share_limit,
            lease_seconds=lease_seconds,
            renew_seconds=lease_seconds / 3,
            poll_seconds=_POLL_SECONDS,
        )
        recorded = partial(self.recorder.attempt_ended, self.system)

        def on_end(end: AttemptEnd) -> None:
            recorded(end)
            self.traces.attempt_ended(end)

        hooks = Hooks(reuse, discard, self.traces.attempt, on_end)
        return Dispatcher(store, run, uuid4().hex, policy, hooks)


def build(
    settings: Settings, meter: Meter = NO_METER, traces: Traces = NO_TRACES
) -> Kernel:
    """Return the kernel for `settings`, after migrating the database.

    Raises ValueError for invalid settings, Unavailable if the database is unreachable.
    """
    recorder = Recorder(meter)
    shared = database(settings, recorder.database_failed)
    return Kernel(
        settings,
        shared,
        Outbox(shared, now),
        Owners(shared, now),
        StoredResponses(shared, now),
        file_storage(settings, recorder.storage_failed),
        direct_uploads(settings),
        meter=meter,
        traces=traces,
    )
