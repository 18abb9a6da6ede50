"""The tasks of the library, as their senders name them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from serve_app.jobs.job import Job, State
from serve_app.jobs.store import JobStore


class TaskName(StrEnum):
    """The name of a task, without the module that Celery puts before it."""

    HASH = "generate_hash_and_webhook"
    DUPLICATE = "process_duplicate_file"
    ANALYSIS = "process_audio_analysis"
    MIX = "mix_stems_and_upload"
    CLEANUP = "cleanup_temp_files"
    HEALTH = "health_check"


class Stage(StrEnum):
    """What a running task is doing."""

    FETCH = "fetch"
    WORK = "work"
    UPLOAD = "upload"


@dataclass(frozen=True)
class Task:
    """A task: its name, its arguments as they were received, and the whole message.

    `name` is empty for a message that is no task. `task_id` is the sender's, or None.
    """

    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    task_id: str | None = None

    @property
    def filepath(self) -> str:
        """The key of the file that the task is about."""
        return str(self.kwargs["filepath"])

    @property
    def stem_paths(self) -> list[str]:
        """The keys of the stems to mix."""
        return [str(path) for path in self.kwargs["stem_paths"]]

    @property
    def subject(self) -> str:
        """The id of the stem or of the stage that the task is about, or ""."""
        field = "stageId" if self.name == TaskName.MIX else "stemId"
        return str(self.kwargs.get(field) or "")

    @property
    def order_key(self) -> str:
        """What messages about the same subject have in common."""
        return hashlib.sha256(self.subject.encode()).hexdigest()


@dataclass(frozen=True)
class Done:
    """The result of a task: the fields of its webhook that the task found.

    `seconds` is how long the work took. `duplicate_of` describes the earlier file of
    the same user with the same content, if the library looks for duplicates.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    duplicate_of: Mapping[str, Any] | None = None


LibraryJob = Job[Task, Done]

# The stores of the library's jobs, by the names of their tasks.
Stores = Mapping[str, JobStore[Task, Done]]


def new_job(
    task: Task, now: datetime, tenant: str = "", client: str = ""
) -> LibraryJob:
    """Return a queued job for a task."""
    return LibraryJob(
        uuid4().hex,
        task,
        State.QUEUED,
        created_at=now,
        updated_at=now,
        tenant=tenant,
        client=client,
        cost_seconds=1.0,
    )
