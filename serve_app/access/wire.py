"""The wire models of API keys."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from serve_app.api.wire import EXAMPLE_CREATED, EXAMPLE_JOB_ID, UtcTime, Wire
from serve_app.usage.quotas import Quotas

_KEY_EXAMPLE: dict[str, Any] = {
    "id": "k3x9m2p7q1z8",
    "name": "dj-app",
    "tenant": "dj-app",
    "scopes": ["stems:read", "stems:write"],
    "created_at": EXAMPLE_CREATED,
}
# Printable ASCII, without spaces at its ends.
Name = Annotated[str, Field(max_length=63, pattern=r"^[!-~]([ -~]*[!-~])?$")]

# A path, in printable ASCII, and a query.
Target = Annotated[str, Field(max_length=2000, pattern=r"^/[!-\"$-~]*$")]


def _in_utc(time: datetime) -> datetime:
    """Return a time in UTC; ValueError for one that has no date there."""
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be before the year 10000 in UTC") from None


class QuotaFields(BaseModel):
    """The quotas of a tenant; absent ones are those of the server's settings."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Annotated[int | None, Field(ge=1)] = None
    jobs_at_once: Annotated[int | None, Field(ge=1)] = None
    jobs_queued: Annotated[int | None, Field(ge=1)] = None
    audio_minutes_per_day: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = (
        None
    )
    stored_bytes: Annotated[int | None, Field(ge=1)] = None

    def to_quotas(self) -> Quotas:
        """Return the quotas."""
        return Quotas(**self.model_dump())


class KeyRequest(BaseModel):
    """The properties of a key to create."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="What the key is for, such as `dj-app`.")
    tenant: Name | None = Field(
        default=None,
        description="The owner of the jobs; default: the name. `*` acts for the tenant "
        "that a gateway names.",
    )
    scopes: list[str] = Field(
        default_factory=lambda: ["*:*"],
        description="What the key allows: `admin`, or `system:verb`, such as "
        "`stems:read`, `stems:*`, `*:read`.",
    )
    expires_at: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = Field(
        default=None, description="When the key expires; default: never."
    )
    quotas: QuotaFields = Field(default_factory=QuotaFields)


class RotateRequest(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: float = Field(
        default=24 * 3600.0,
        ge=0,
        le=366 * 24 * 3600.0,
        description="How long the old key stays valid.",
    )


class KeyView(Wire):
    """An API key, without its secret."""

    model_config = ConfigDict(json_schema_extra={"example": _KEY_EXAMPLE})

    id: str = Field(description="The id, which is also in the key after `stemserve_`.")
    name: str
    tenant: str
    scopes: list[str]
    state: str = Field(description="`valid`, `revoked` or `expired`.")
    created_at: UtcTime
    expires_at: UtcTime | None = None
    revoked_at: UtcTime | None = None
    last_used_at: UtcTime | None = Field(
        default=None, description="The last use, to within ten minutes."
    )
    replaces: str | None = Field(default=None, description="The id of the old key.")
    quotas: dict[str, float] = Field(description="The quotas that the key sets.")


class CreatedKey(KeyView):
    """A new API key. Its secret is in no other response."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {**_KEY_EXAMPLE, "key": "stemserve_k3x9m2p7q1z8_…"}
        }
    )

    key: str = Field(description="The key. Store it now: it can't be shown again.")


class KeyList(Wire):
    """All API keys."""

    count: int
    keys: list[KeyView]


class LinkRequest(BaseModel):
    """The paths to make links to."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"paths": [f"/job/{EXAMPLE_JOB_ID}/waveform?format=png"]}
        },
    )

    paths: list[Target] = Field(
        min_length=1,
        max_length=100,
        description="Paths of this service, with or without a query: up to 100.",
    )


class LinkView(Wire):
    """A signed link."""

    path: str = Field(description="The path of the request.")
    url: str = Field(description="The absolute URL, which opens it without a header.")
    expires_at: UtcTime | None = Field(
        description="When the link expires, or null where access is open."
    )


class LinkList(Wire):
    """Signed links, in the order of the request."""

    links: list[LinkView]


class UsageDay(Wire):
    """What the jobs of a tenant used that were sent on one day (UTC)."""

    day: date
    tenant: str = Field(description="The tenant; empty for jobs without one.")
    jobs: int = Field(description="The number of jobs that succeeded.")
    audio_seconds: float
    device_seconds: float = Field(
        description="The time of the device (GPU or CPU) that computed the stems."
    )
    bytes_in: int = Field(description="The size of the songs.")
    bytes_out: int = Field(description="The size of the stems.")


class UsageList(Wire):
    """What tenants used, by day and tenant."""

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    usage: list[UsageDay]


class Caller(Wire):
    """The owner of the credentials of a request."""

    tenant: str | None = Field(description="The tenant, or null if there is none.")
    credential: str | None = Field(
        description="What the credentials are, such as `key:k3x9m2p7q1z8`, or null."
    )
    scopes: list[str]
