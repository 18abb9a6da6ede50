"""The shapes of the library's answers."""

from typing import Any

from pydantic import Field

from serve_app.api.wire import UtcTime, Wire


class TaskAccepted(Wire):
    """A task that will be done."""

    job_id: str
    task: str
    status_path: str = Field(description="Where to get the task, on this server.")


class TaskView(Wire):
    """A task, and what became of it."""

    job_id: str
    task: str = Field(description="Empty for a message that is no task.")
    state: str = Field(description="`queued`, `running`, `succeeded` or `failed`.")
    attempts: int
    created_at: UtcTime
    updated_at: UtcTime
    error: str | None = Field(default=None, description="Why the last attempt failed.")
    error_code: str | None = None
    result: dict[str, Any] | None = Field(
        default=None, description="What the task found, as in its webhook."
    )
