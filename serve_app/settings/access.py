"""The section of access: who may use the service."""

from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from serve_app.settings.section import Section, split


class AccessSettings(Section):
    """Credentials, tenants and quotas."""

    require_access: bool | None = Field(
        default=None,
        description="Whether requests need an API key or a token. Default: only after "
        "a key was created, or if admin_key, better_auth_url or jwks_url is set.",
    )
    open_systems: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Systems whose routes need no credentials, comma-separated, as in "
        "`stems`.",
    )
    admin_key: SecretStr | None = Field(
        default=None,
        description="An API key with the scope `admin` that is not in the database, of "
        "at least 32 characters, to create the first keys over HTTP.",
    )
    access_secret: SecretStr | None = Field(
        default=None,
        description="Secret that protects API keys in the database and signs links, of "
        "at least 32 characters. If it changes, all keys and links become invalid. "
        "Default: a random one in the database.",
    )
    tenant_header: str = Field(
        default="",
        description="Header in which your gateway names the tenant of a request. "
        "Tenants see only their own jobs, and requests for jobs or songs without the "
        "header are refused. Default: the tenant is that of the credentials.",
    )

    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        description="Maximum requests of a client in a minute to each Api replica, "
        "else 429 with Retry-After. A client is a tenant, or an IP address on servers "
        "without tenants. A key can have another limit. Default: no limit.",
    )
    tenant_jobs_at_once: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of running jobs of a client, in the whole cluster "
        "and of each kind; more wait. A key can have another limit. Default: no limit.",
    )
    tenant_jobs_queued: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of queued jobs of a client, of each kind, else "
        "429. A key can have another limit. Default: that of client_queue_share.",
    )
    tenant_audio_minutes_per_day: float | None = Field(
        default=None,
        gt=0,
        description="Maximum minutes of audio of a tenant's jobs in a day (UTC), else "
        "429. Failed and cancelled jobs don't count. All clients without a tenant "
        "count as one. A key can have another limit. Default: no limit.",
    )
    tenant_stored_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Maximum size of the files of a tenant's jobs that have not "
        "expired, else 429. All clients without a tenant count as one. A key can have "
        "another limit. Default: no limit.",
    )

    @field_validator("open_systems", mode="before")
    @classmethod
    def _split_systems(cls, value: Any) -> Any:
        return split(value, ",")
