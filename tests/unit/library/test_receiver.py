"""A NestJS server takes all webhooks of the library, on Node 20."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.database import Database
from serve_app.jobs.job import State
from serve_app.library import channel, dead_letters, kinds
from serve_app.library.bodies import MOST_BYTES
from serve_app.library.task import Done, LibraryJob, Task, TaskName
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.sender import Sender
from tests.library import ANALYSIS, DUPLICATE, HASH, MIX
from tests.node import node_of
from tests.ports import free_port

# The first one may install NestJS.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

PROJECT = Path(__file__).parents[2] / "library_receiver"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)


@dataclass(frozen=True)
class Nest:
    """The receiver: its base URL, and what it prints."""

    url: str
    process: subprocess.Popen[str]

    def told(self) -> dict[str, Any]:
        """Return the next webhook that it took, or body that it refused."""
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture(scope="module")
def nest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nest]:
    folder, node, port = tmp_path_factory.mktemp("nest"), node_of(PROJECT), free_port()
    compiler = PROJECT / "node_modules" / "typescript" / "bin" / "tsc"
    command = [node, compiler, "-p", PROJECT, "--outDir", folder]
    subprocess.run(command, check=True)
    process = subprocess.Popen(
        [node, folder / "receiver.js", str(port)],
        env={**os.environ, "NODE_PATH": str(PROJECT / "node_modules")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield Nest(f"http://127.0.0.1:{port}/webhook", process)
    finally:
        process.terminate()
        process.communicate(timeout=10)


def ended(name: TaskName, kwargs: dict[str, Any], done: Done | None) -> LibraryJob:
    state = State.FAILED if done is None else State.SUCCEEDED
    job = LibraryJob("j", Task(name, kwargs, "{}", "the-id"), state, NOW, NOW)
    return job.evolve(result=done, error="It is gone.", error_code="object_missing")


FOUND = {
    "audio_data_hash": "ab" * 32,
    "waveform_data_path": "waveforms/a.json",
    "file_size": 1_024_000,
    "duration": 30.5,
    "sample_rate": 44_100,
    "num_peaks": 4000,
}
MIXED = {"mixed_file_path": "mixed/a.wav", "waveform_data_path": "waveforms/b.json"}
ENDS = {
    "hash": (ended(TaskName.HASH, HASH, Done({"audio_hash": "ab"})), "hash-check"),
    "deletion": (ended(TaskName.DUPLICATE, DUPLICATE, Done()), "completion"),
    "analysis": (ended(TaskName.ANALYSIS, ANALYSIS, Done(FOUND)), "completion"),
    "failure": (ended(TaskName.ANALYSIS, ANALYSIS, None), "completion"),
    "mix": (ended(TaskName.MIX, MIX, Done(MIXED)), "mixing-complete"),
    "failed mix": (ended(TaskName.MIX, MIX, None), "mixing-complete"),
    "large mix": (
        ended(
            TaskName.MIX,
            {**MIX, "stem_paths": [f"audio/{n:080}.wav" for n in range(1_000)]},
            Done(MIXED),
        ),
        "mixing-complete",
    ),
}


@pytest.mark.parametrize("name", ENDS)
async def test_a_webhook_arrives_as_it_was_written(
    nest: Nest, tmp_path: Path, name: str
) -> None:
    job, route = ENDS[name]
    kind = kinds.kinds(nest.url, False, 10)[job.request.name]
    messages = kind.messages(job, NOW)
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        outbox = Outbox(database, lambda: datetime.now(UTC))
        with database.writing() as connection:
            outbox.post(connection, messages)
        sender = Sender(
            outbox,
            channel.LibraryChannel(channel.client()),
            lambda: datetime.now(UTC),
        )
        sending = asyncio.ensure_future(sender.run_forever())
        told = await asyncio.to_thread(nest.told)
        await asyncio.sleep(0.2)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        (delivery,) = outbox.of_job(job.id, dead_letters.WEBHOOKS)
    assert told == {"route": route, "body": json.loads(messages[0].body)}
    assert (delivery.state, delivery.log[0].status) == ("delivered", 201)


def test_the_receiver_refuses_what_the_library_never_sends(nest: Nest) -> None:
    text = json.dumps({"stem_paths": "x" * (MOST_BYTES + 2_400)})
    headers = {"Content-Type": "application/json"}
    url = f"{nest.url}/mixing-complete"
    answer = httpx.post(url, content=text, headers=headers, timeout=30)
    assert answer.status_code == 413
    assert "PayloadTooLargeError" in nest.told()["refused"]
