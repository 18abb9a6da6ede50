"""What goes over the wire of any system: errors, health, and what they share."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

UtcTime = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]


IgnoredFields = Annotated[
    tuple[str, ...],
    Field(
        exclude_if=lambda names: not names,
        description="Form fields that were sent but do not exist, such as a "
        "misspelt option. Absent when there are none.",
    ),
]


EXAMPLE_BASE_URL = "https://stems.example.com"
EXAMPLE_JOB_ID = "0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
EXAMPLE_CREATED = "2026-11-20T12:00:00Z"
EXAMPLE_UPDATED = "2026-11-20T12:01:10Z"
EXAMPLE_EXPIRES = "2026-11-20T12:31:10Z"


class Wire(BaseModel):
    """An answer. Fields may be added to it; none is renamed or removed."""

    model_config = ConfigDict(extra="allow", frozen=True)


class FieldError(Wire):
    """One thing that is wrong with a request, and where."""

    loc: list[str | int] = Field(description="The way to it: `body`, `file`.")
    msg: str = Field(description="What is wrong and what to do.")
    type: str = Field(description="A stable code.")


class Problem(Wire):
    """Why a request failed and what to do about it (RFC 9457)."""

    type: str = Field(description="A stable URI of the kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened and what to do, for a person.")
    code: str = Field(description="The kind of problem as a stable word.")
    instance: str = Field(description="This occurrence; it is in the server's log.")
    retryable: bool = Field(description="Whether the same request may work later.")
    errors: list[FieldError] | None = Field(
        default=None, description="Each thing that is wrong, when there are fields."
    )


class Root(Wire):
    """What is served here, and where to read on."""

    name: Literal["stemserve"] = "stemserve"
    version: str
    docs: str = Field(description="The description of the API.")
    health: str = Field(description="Whether the service is ready.")


class Ping(Wire):
    """A sign of life."""

    status: Literal["ok"] = "ok"


class QueueHealth(Wire):
    """How busy the server is."""

    queued: int
    running: int
    max_queued: int


class StorageHealth(Wire):
    """Whether the store of files answers."""

    ok: bool


class DiskHealth(Wire):
    """Whether there is room for more songs."""

    ok: bool = Field(description="Whether each disk has as much as is kept in reserve.")
    reserve_bytes: int
    free_bytes: dict[str, int] = Field(
        description="For the working files, and for stored files and the database "
        "where these are on disks of the server."
    )
    jobs_bytes: int | None = Field(
        default=None, description="The most that all jobs under way may still take."
    )


class Health(Wire):
    """Whether jobs can be done now, and why not."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "ok",
                "timestamp": EXAMPLE_CREATED,
                "ready": True,
                "model": "hdemucs_high_musdb_plus",
                "device": "cuda:0",
                "jobs_count": 4,
                "queue": {"queued": 0, "running": 1, "max_queued": 100},
                "storage": {"ok": True},
                "disk": {
                    "ok": True,
                    "reserve_bytes": 1024**3,
                    "free_bytes": {"working_files": 52_613_349_376},
                    "jobs_bytes": 523_000_000,
                },
            }
        }
    )

    status: Literal["ok", "degraded", "unavailable"]
    timestamp: UtcTime
    ready: bool
    model: str | None = Field(default=None, description="The model that is loaded.")
    device: str | None = Field(default=None, description="What it runs on.")
    jobs_count: int | None = Field(
        default=None, description="The jobs that are kept, whatever became of them."
    )
    queue: QueueHealth | None = None
    storage: StorageHealth | None = None
    disk: DiskHealth | None = None
    reason: str | None = Field(
        default=None, description="Why it is not ready, or what does not work."
    )
    systems: Mapping[str, Any] | None = Field(
        default=None,
        description="The same of each system, where there are several. At the top, "
        "`ready` and `status` are the worst of all systems. Other fields are those of "
        "the system that claims them, or else of the last system that has them.",
    )
