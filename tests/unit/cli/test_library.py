"""`stemserve library dead-letters` lists what has failed, and sends it again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.database import Database
from serve_app.jobs.store import JobStore
from serve_app.library.arrivals import Arrivals
from serve_app.library.kinds import kinds
from serve_app.library.task import TaskName
from tests.library import HASH, RUBBISH, STEM_ID, message


@pytest.fixture(autouse=True)
def arrivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arrivals]:
    """What a server of the same settings would add to."""
    monkeypatch.setenv("STEMSERVE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        stores = {
            name: JobStore(database, lambda: datetime.now(UTC), kind)
            for name, kind in kinds("", False, 100).items()
        }
        yield Arrivals(stores, lambda: datetime.now(UTC))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["library", "dead-letters", *arguments])


def listed() -> list[dict[str, Any]]:
    result = run("list", "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def failed(arrivals: Arrivals) -> str:
    """Add a task, and let it fail; return its id."""
    store = arrivals.stores[TaskName.HASH]
    job_id = arrivals.take(message(TaskName.HASH, HASH), "sqs-1")
    (job,) = store.claim("me", lease_seconds=30, include_alone=True)
    store.fail(job.claim, "object_missing", "There is no file.")
    return job_id


def test_without_dead_letters_the_list_is_empty() -> None:
    assert listed() == []
    assert run("list").exit_code == 0


def test_dead_letters_have_their_reasons_and_messages(arrivals: Arrivals) -> None:
    job_id = failed(arrivals)
    rubbish_id = arrivals.take(RUBBISH["not json"], "sqs-2")
    assert {letter["id"]: letter["error_code"] for letter in listed()} == {
        job_id: "object_missing",
        rubbish_id: "not_a_task",
    }
    (letter,) = [each for each in listed() if each["id"] == job_id]
    assert (letter["task"], letter["subject"]) == (TaskName.HASH, STEM_ID)
    assert json.loads(letter["message"])["kwargs"] == HASH
    shown = run("list").stdout
    assert job_id in shown
    assert rubbish_id in shown


def test_a_dead_letter_is_sent_again(arrivals: Arrivals) -> None:
    job_id = failed(arrivals)
    result = run("retry", job_id)
    assert result.exit_code == 0
    assert f"{job_id}: retried as " in result.stdout
    assert listed() == []
    again = arrivals.stores[TaskName.HASH].claim(
        "me", lease_seconds=30, include_alone=True
    )
    assert [job.request.kwargs for job in again] == [HASH]


def test_all_tasks_are_sent_again_and_rubbish_stays(arrivals: Arrivals) -> None:
    failed(arrivals)
    rubbish_id = arrivals.take(RUBBISH["no stem"], "sqs-2")
    result = run("retry", "--all")
    assert result.exit_code == 0
    assert f"{rubbish_id}: kept. `stemId` must be" in result.stdout
    assert [letter["id"] for letter in listed()] == [rubbish_id]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["nothing"], "There is no such dead letter"), ([], "give either ids or --all")],
)
def test_wrong_use_says_what_to_do(arguments: list[str], text: str) -> None:
    result = run("retry", *arguments)
    assert result.exit_code != 0
    assert text in result.output
