"""The section of access: who may use the service."""

from typing import Annotated, Any, Literal

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
    link_seconds: int = Field(
        default=3600,
        ge=60,
        le=7 * 24 * 3600,
        description="How long signed links are valid at least, and at most twice as "
        "long: the URLs of stems in the jobs of clients with credentials, and those of "
        "`POST /links`.",
    )
    audit: Literal["off", "changes", "all"] = Field(
        default="changes",
        description="What the audit log contains: `changes` (requests other than GET "
        "and HEAD, refusals, and what admins do), `all` (every request that may need "
        "credentials), or `off`. Where access is open, only `all` has an effect.",
    )
    tenant_header: str = Field(
        default="",
        description="Header in which your gateway names the tenant of a request. "
        "Tenants see only their own jobs, and requests for jobs or songs without the "
        "header are refused. Default: the tenant is that of the credentials.",
    )

    @field_validator("open_systems", mode="before")
    @classmethod
    def _split_systems(cls, value: Any) -> Any:
        return split(value, ",")
