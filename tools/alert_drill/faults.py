"""The faults of the drill. Each ends as the runbook says."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ray
from ray import serve

from tests.serve.service import wait_for
from tools.alert_drill.installation import (
    DISK_BYTES,
    SMALL_DISK_BYTES,
    Installation,
)
from tools.chaos.monkey import at_work

_MESSAGES = 25
_LOST_SONGS = 12
_BROKEN_FILES = 12
_SEEN_SECONDS = 10.0
_SHORT_SECONDS, _LONG_SECONDS = 3.0, 300.0
_FIRST_RETRY_SECONDS = 10.0


@dataclass(frozen=True)
class Fault:
    """What breaks, for the length of a block, and the alerts that it must fire."""

    alerts: Sequence[str]
    broken: Callable[[Installation], AbstractContextManager[None]]


@contextmanager
def database_down(place: Installation) -> Iterator[None]:
    """Stop Postgres, while clients send requests."""
    place.postgres.stop()
    with repeated(lambda: place.ask("GET", "/jobs"), every_seconds=0.2):
        yield
    place.postgres.start()


@contextmanager
def store_down(place: Installation) -> Iterator[None]:
    """Stop the S3 server."""
    place.store.stop()
    yield
    place.store.start()


@contextmanager
def disk_full(place: Installation) -> Iterator[None]:
    """Take the room of the disk; then enlarge it."""
    place.resize_disk(SMALL_DISK_BYTES)
    yield
    place.resize_disk(DISK_BYTES)


@contextmanager
def receivers_fail(place: Installation) -> Iterator[None]:
    """Have all receivers fail, then refuse for good; then send everything again."""
    place.separate(_SHORT_SECONDS)
    place.receiver.status = 500
    urls = [place.receiver.url(number) for number in range(_MESSAGES)]
    sent = [place.send(_SHORT_SECONDS, webhook_url=url)["job_id"] for url in urls]
    time.sleep(_FIRST_RETRY_SECONDS / 2)
    place.receiver.status = 410
    yield
    place.receiver.status = 204
    for job_id in sent:
        with suppress(Exception):  # It may have expired.
            listed = place.ask("GET", f"/job/{job_id}/deliveries")["deliveries"]
            delivery = f"/job/{job_id}/deliveries/{listed[0]['id']}"
            place.ask("POST", f"{delivery}/replay")


@contextmanager
def dispatchers_hang(place: Installation) -> Iterator[None]:
    """Suspend all dispatchers while a song runs; then replace them."""
    place.separate(_SHORT_SECONDS)
    job_id = place.send(_LONG_SECONDS)["job_id"]
    wait_for(lambda: place.ask("GET", f"/job/{job_id}")["status"] == "processing")
    with repeated(suspend_dispatchers, every_seconds=0.2):
        place.send(_LONG_SECONDS + 1, "/analyze?async=true")
        place.send(_SHORT_SECONDS, webhook_url=place.receiver.url(0))
        yield
    replace_dispatchers()
    place.ask("DELETE", f"/job/{job_id}")


@contextmanager
def songs_lost(place: Installation) -> Iterator[None]:
    """Delete the songs of queued jobs from the store."""
    with repeated(suspend_dispatchers, every_seconds=0.2):
        for number in range(_LOST_SONGS):
            place.send(_SHORT_SECONDS + 0.1 * (1 + number))
        place.store.delete_songs()
    replace_dispatchers()
    yield


@contextmanager
def files_unreadable(place: Installation) -> Iterator[None]:
    """Send the library files that are no audio; then replace them, and try again."""
    # The alert is about new ones: Prometheus must have seen that there are none.
    time.sleep(_SEEN_SECONDS)
    keys = [f"library/{number}.wav" for number in range(_BROKEN_FILES)]
    for key in keys:
        place.store.put(key, b"no audio")
        kwargs = {"stemId": Path(key).stem, "filepath": key}
        task = {"task": "app.tasks.process_audio_analysis", "kwargs": kwargs}
        place.ask("POST", "/library/tasks", json=task)
    yield
    for key in keys:
        place.store.put(key, place.song(_SHORT_SECONDS).read_bytes())
    place.run("library", "dead-letters", "retry", "--all")


@contextmanager
def no_separator(place: Installation) -> Iterator[None]:
    """Let no Separator start."""
    job_id = place.send(_LONG_SECONDS + 2)["job_id"]
    with repeated(kill_separators, every_seconds=0.5):
        yield
    place.ask("DELETE", f"/job/{job_id}")


@contextmanager
def application_gone(place: Installation) -> Iterator[None]:
    """Delete the application; then deploy it."""
    serve.delete("stemserve")
    yield
    place.deploy()


FAULTS = {
    "database": Fault(("StemserveDatabaseDown", "StemserveHttpErrors"), database_down),
    "store": Fault(("StemserveStorageDown",), store_down),
    "disk": Fault(("StemserveDiskNearlyFull",), disk_full),
    "receivers": Fault(
        ("StemserveWebhooksFailing", "StemserveMessagesDead"), receivers_fail
    ),
    "dispatchers": Fault(
        (
            "StemserveLeasesExpired",
            "StemserveJobsStuck",
            "StemserveMessagesOverdue",
            "StemserveQueueSlow",
        ),
        dispatchers_hang,
    ),
    "songs": Fault(("StemserveJobsFailing",), songs_lost),
    "library": Fault(("StemserveDeadLetters",), files_unreadable),
    "separators": Fault(("StemserveNoSeparator", "StemserveUnhealthy"), no_separator),
    "application": Fault(
        ("StemserveDown", "StemserveRayMetricsMissing"), application_gone
    ),
}

# Alerts without a fault here, and why; promtool tests them all.
NOT_DRILLED = {
    "StemserveReplicasDying": "a replica starts too slowly to die so often",
    "StemserveDeviceMemoryNearlyFull": "needs a GPU",
    "StemserveHeadMemoryGrows": "needs a head node of its own",
    "StemserveHeadMemoryNearlyFull": "needs a head node of its own",
}


@contextmanager
def repeated(act: Callable[[], object], every_seconds: float) -> Iterator[None]:
    """Call `act` again and again in a thread, whatever it raises, during the block."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.is_set():
            with suppress(Exception):
                act()
            ended.wait(every_seconds)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def suspend_dispatchers() -> None:
    """Suspend the dispatchers that run."""
    for process in at_work("DispatcherReplica"):
        process.suspend()


def kill_separators() -> None:
    """Kill the Separators that run."""
    for process in at_work("Separator"):
        process.kill()


def replace_dispatchers() -> None:
    """Kill the dispatchers with Ray's command; Serve starts others."""
    address = ray.get_runtime_context().gcs_address
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if "#DispatcherReplica#" in actor["name"]:
            kill = ("kill-actor", "--address", address, "--force")
            name = ("--namespace", actor["namespace"], "--name", actor["name"])
            command = [sys.executable, "-m", "ray.scripts.scripts", *kill, *name]
            # Not checked: Serve may have replaced it already.
            subprocess.run(command, capture_output=True)
