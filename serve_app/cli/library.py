"""`stemserve library`: list and retry dead letters, in the server's database."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from serve_app.cli.configuration import read_settings, settings_of
from serve_app.database import Database
from serve_app.jobs.store import JobStore
from serve_app.library import kinds
from serve_app.library.dead_letters import DeadLetters
from serve_app.library.errors import NotATask
from serve_app.webhooks.outbox import Outbox

_MOST = 1_000_000


def show(limit: int, config: Path | None, *, as_json: bool) -> None:
    """Print the latest dead letters."""
    with _opened(config) as letters:
        found = letters.listed(limit)
    if as_json:
        facts = [
            {**asdict(each), "failed_at": each.failed_at.isoformat()} for each in found
        ]
        print(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    columns = ("failed", "task", "subject", "code", "reason")
    table = Table(Column("id", no_wrap=True), *columns)
    for each in found:
        failed = f"{each.failed_at:%Y-%m-%d %H:%M}"
        said = (each.error_code, each.error)
        table.add_row(each.id, failed, each.task or "-", each.subject, *said)
    Console().print(table)


def retry(letter_ids: Sequence[str], config: Path | None) -> None:
    """Retry these dead letters, or all that can be if no ids are given.

    Raises JobNotFound for an unknown id, and NotATask for a message that is no task.
    """
    with _opened(config) as letters:
        for letter_id in letter_ids or [each.id for each in letters.listed(_MOST)]:
            try:
                print(f"{letter_id}: retried as {letters.retry(letter_id)}")
            except NotATask as err:
                if letter_ids:
                    raise
                print(f"{letter_id}: kept. {err.detail}")


@contextmanager
def _opened(config: Path | None) -> Iterator[DeadLetters]:
    settings = read_settings(settings_of(config))
    with Database(settings.effective_database_url) as database:
        made = kinds.configured(settings)
        outbox = Outbox(database, _now)
        stores = {
            name: JobStore(database, _now, kind, outbox.post)
            for name, kind in made.items()
        }
        yield DeadLetters(stores, outbox, _now)


def _now() -> datetime:
    return datetime.now(UTC)
