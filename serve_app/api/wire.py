"""Response models that all systems share: errors, health and the root."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

UtcTime = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]


IgnoredFields = Annotated[
    tuple[str, ...],
    Field(
        exclude_if=lambda names: not names,
        description="Unknown form fields of the request, such as a misspelt option. "
        "Absent if there are none.",
    ),
]


EXAMPLE_BASE_URL = "https://stems.example.com"
EXAMPLE_JOB_ID = "0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
EXAMPLE_CREATED = "2026-11-20T12:00:00Z"
EXAMPLE_UPDATED = "2026-11-20T12:01:10Z"
EXAMPLE_EXPIRES = "2026-11-20T12:31:10Z"


class Wire(BaseModel):
    """A response. Fields may be added, but not renamed or removed."""

    model_config = ConfigDict(extra="allow", frozen=True)


class FieldError(Wire):
    """One error in a request, and its place."""

    loc: list[str | int] = Field(description="The path to the field: `body`, `file`.")
    msg: str = Field(description="What is wrong and what to do.")
    type: str = Field(description="A stable code.")


class Problem(Wire):
    """Why a request failed and what to do about it (RFC 9457)."""

    type: str = Field(description="A stable URI of the kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong and what to do, for a person.")
    code: str = Field(description="The kind of problem as a stable code.")
    instance: str = Field(
        description="A URN with the request id, which is in the server's log."
    )
    retryable: bool = Field(description="Whether the same request may succeed later.")
    errors: list[FieldError] | None = Field(
        default=None, description="The errors of each field, if fields are invalid."
    )


class Root(Wire):
    """The service's name and version, and the URLs of its documentation."""

    name: Literal["stemserve"] = "stemserve"
    version: str
    docs: str = Field(description="The URL of the API's documentation.")
    health: str = Field(description="The URL of the health report.")


class Ping(Wire):
    """The response to a ping."""

    status: Literal["ok"] = "ok"


class QueueHealth(Wire):
    """The length of the queue."""

    queued: int
    running: int
    max_queued: int


class StorageHealth(Wire):
    """Whether the file storage is reachable."""

    ok: bool


class DiskHealth(Wire):
    """Whether the disks have room for more songs."""

    ok: bool = Field(description="Whether each disk has at least the reserve free.")
    reserve_bytes: int
    free_bytes: dict[str, int] = Field(
        description="Free space for working files, and for stored files and the "
        "database if they are on the server's disks."
    )
    jobs_bytes: int | None = Field(
        default=None, description="The most that all unfinished jobs may still take."
    )


class Health(Wire):
    """Whether the service can run jobs now, and if not why."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "ok",
                "timestamp": EXAMPLE_CREATED,
                "ready": True,
                "access": "open",
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

    status: Literal["ok", "healthy", "degraded", "unavailable"] = Field(
        description="`healthy` is `ok` where images are all that the service makes."
    )
    timestamp: UtcTime
    ready: bool
    access: Literal["open", "required"] | None = Field(
        default=None,
        description="Whether requests need credentials; absent while that is unknown.",
    )
    model: str | None = Field(default=None, description="The loaded model.")
    device: str | None = Field(default=None, description="The device it runs on.")
    jobs_count: int | None = Field(
        default=None, description="The number of kept jobs, in any state."
    )
    queue: QueueHealth | None = None
    storage: StorageHealth | None = None
    disk: DiskHealth | None = None
    reason: str | None = Field(
        default=None, description="Why the service is not ready, or what fails."
    )
    systems: Mapping[str, Any] | None = Field(
        default=None,
        description="The fields of each system, if there are several. At the top "
        "level, `ready` and `status` are the worst of all systems. A field that one "
        "system claims is that system's; any other is that of the last system that "
        "has it.",
    )
