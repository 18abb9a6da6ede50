"""The section of access: who may use the service."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from serve_app.outbound.urls import UrlRules
from serve_app.settings.section import Section, either, split

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


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
    better_auth_url: str = Field(
        default="",
        validation_alias=either("STEMSERVE_BETTER_AUTH_URL", "BETTER_AUTH_URL"),
        description="URL of the site whose Better Auth issues tokens, such as "
        "`https://app.example.com`: their keys are at `/api/auth/jwks`. Default: "
        "tokens are not accepted.",
    )
    jwks_url: str = Field(
        default="",
        validation_alias=either("STEMSERVE_JWKS_URL", "JWKS_URL"),
        description="URL of the keys of the tokens' issuer, a JSON Web Key Set, if it "
        "is not that of better_auth_url.",
    )
    jwt_issuer: str = Field(
        default="",
        validation_alias=either("STEMSERVE_JWT_ISSUER", "JWT_ISSUER"),
        description="Required issuer of tokens, the claim `iss`. Default: not checked.",
    )
    jwt_audience: str = Field(
        default="",
        validation_alias=either("STEMSERVE_JWT_AUDIENCE", "JWT_AUDIENCE"),
        description="Required audience of tokens, in the claim `aud`. Default: not "
        "checked.",
    )
    jwt_leeway_seconds: float = Field(
        default=30.0,
        ge=0,
        le=300,
        description="Tolerated difference between the clocks of this server and of the "
        "tokens' issuer.",
    )
    jwt_tenant_claim: str = Field(
        default="sub",
        description="Claim of tokens that is the tenant: `sub` for one per user.",
    )
    jwt_scope_claim: str = Field(
        default="",
        description="Claim of tokens with their scopes, a list or a text with spaces, "
        "such as `scope`. Default: tokens may do everything but what needs `admin`.",
    )
    allow_private_jwks: bool = Field(
        default=False,
        description="Fetch the keys of tokens also from private addresses, over plain "
        "http and from any port. Always true for URLs of localhost.",
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

    @property
    def given_access_secret(self) -> str:
        """The secret of the operator; empty for the one in the database."""
        secret = self.access_secret
        return "" if secret is None else secret.get_secret_value()

    @property
    def effective_jwks_url(self) -> str:
        """The URL of the keys of tokens; empty if no issuer is configured."""
        if self.jwks_url or not self.better_auth_url:
            return self.jwks_url
        return f"{self.better_auth_url.rstrip('/')}/api/auth/jwks"

    @property
    def has_private_jwks(self) -> bool:
        """Whether the keys of tokens may be at a private address.

        They may if the URL names this machine, as on a developer's laptop.
        """
        host = urlsplit(self.effective_jwks_url).hostname
        return self.allow_private_jwks or host in LOOPBACK_HOSTS

    @property
    def jwks_url_rules(self) -> UrlRules:
        """The allowed URLs of the keys of tokens."""
        is_private = self.has_private_jwks
        schemes = ("https", "http") if is_private else ("https",)
        return UrlRules(schemes, has_private=is_private)
