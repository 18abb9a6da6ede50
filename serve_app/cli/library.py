"""`stemserve library`: list and retry dead letters, in the server's database."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from serve_app.cli.configuration import read_settings, settings_of
from serve_app.database import Database
from serve_app.jobs.store import JobStore
from serve_app.library import kinds
from serve_app.library.dead_letters import DeadLetters
from serve_app.library.errors import NotATask
from serve_app.library.task import LibraryJob

_MOST = 1_000_000


def show(limit: int, config: Path | None, *, as_json: bool) -> None:
    """Print the latest dead letters."""
    with _opened(config) as letters:
        found = letters.listed(limit)
    if as_json:
        print(json.dumps([_facts(job) for job in found], indent=1, ensure_ascii=False))
        return
    table = Table(Column("id", no_wrap=True), "failed", "task", "subject", "reason")
    for job in found:
        request = job.request
        failed = f"{job.updated_at:%Y-%m-%d %H:%M}"
        row = (job.id, failed, request.name or "-", request.subject, job.error or "")
        table.add_row(*row)
    Console().print(table)


def retry(job_ids: Sequence[str], config: Path | None) -> None:
    """Retry these dead letters, or all tasks among them if no ids are given.

    Raises JobNotFound for an unknown id, and NotATask for a message that is no task.
    """
    with _opened(config) as letters:
        for job_id in job_ids or [job.id for job in letters.listed(_MOST)]:
            try:
                print(f"{job_id}: retried as {letters.retry(job_id).id}")
            except NotATask as err:
                if job_ids:
                    raise
                print(f"{job_id}: kept. {err.detail}")


@contextmanager
def _opened(config: Path | None) -> Iterator[DeadLetters]:
    settings = read_settings(settings_of(config))
    with Database(settings.effective_database_url) as database:
        made = kinds.configured(settings)
        stores = {name: JobStore(database, _now, kind) for name, kind in made.items()}
        yield DeadLetters(stores, _now)


def _facts(job: LibraryJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "failed_at": job.updated_at.isoformat(),
        "task": job.request.name,
        "subject": job.request.subject,
        "error_code": job.error_code,
        "error": job.error,
        "message": job.request.message,
    }


def _now() -> datetime:
    return datetime.now(UTC)
