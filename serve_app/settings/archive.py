"""The section of the system `archive`."""

from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from serve_app.settings.section import Section, either, split

_GB = 10**9


def _secret(description: str, *names: str) -> Any:
    return Field(
        default=SecretStr(""), validation_alias=either(*names), description=description
    )


def _token(number: int) -> Any:
    return _secret(
        f"Token of the Hugging Face account of store {number}, which may write.",
        *(f"STEMSERVE_ARCHIVE_HUB_TOKEN_{number}", f"HF_TOKEN_STORAGE_{number}"),
    )


def _user(number: int) -> Any:
    names = f"STEMSERVE_ARCHIVE_HUB_USER_{number}", f"HF_STORAGE_USERNAME_{number}"
    return Field(
        default="",
        validation_alias=either(*names),
        description=f"Name of the Hugging Face account of store {number}.",
    )


class ArchiveSettings(Section):
    """What the archive may fetch, where it keeps it, and who may tell it to."""

    archive_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias=either("STEMSERVE_ARCHIVE_HOSTS", "ARCHIVE_HOSTS"),
        description="Hosts that the archive fetches from, comma-separated, as in "
        "`cdn.example.com,*.example.org`. Default: none, so nothing is fetched.",
    )
    archive_allow_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias=either(
            "STEMSERVE_ARCHIVE_ALLOW_NETWORKS", "ARCHIVE_ALLOW_NETWORKS"
        ),
        description="Networks that are not public and may be fetched from, "
        "comma-separated, as in `10.1.0.0/16`; over plain http and any port too.",
    )
    archive_secret: SecretStr = _secret(
        "Bearer of what changes the archive, as `POST /trigger`. Default: the "
        "archive's salt.",
        *("STEMSERVE_ARCHIVE_SECRET", "ARCHIVE_SECRET"),
    )
    archive_salt: SecretStr = _secret(
        "Secret in the names of objects. It must not change. Default: the archive's "
        "secret.",
        *("STEMSERVE_ARCHIVE_SALT", "HF_FILE_SALT"),
    )
    archive_providers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias=either("STEMSERVE_ARCHIVE_PROVIDERS", "ARCHIVE_PROVIDERS"),
        description="Providers that `/trigger` accepts, comma-separated. Default: "
        "those that the check of `video_queue` allows; without that table, all.",
    )
    archive_stores: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias=either("STEMSERVE_ARCHIVE_STORES", "ARCHIVE_STORES"),
        description="Where media is stored: up to five directories or "
        "`s3://bucket/folder` (`?endpoint_url=…&region=…`), separated by spaces, each "
        "of which gets a copy. Default: the Hugging Face accounts, or "
        "data_dir/archive.",
    )
    archive_hub_token_1: SecretStr = _token(1)
    archive_hub_token_2: SecretStr = _token(2)
    archive_hub_token_3: SecretStr = _token(3)
    archive_hub_token_4: SecretStr = _token(4)
    archive_hub_token_5: SecretStr = _token(5)
    archive_hub_user_1: str = _user(1)
    archive_hub_user_2: str = _user(2)
    archive_hub_user_3: str = _user(3)
    archive_hub_user_4: str = _user(4)
    archive_hub_user_5: str = _user(5)
    archive_hub_repository: str = Field(
        default="video-archive",
        description="Name of the dataset repository in each Hugging Face account. It "
        "is made if it is missing, and public.",
    )
    archive_max_bytes: int = Field(
        default=20 * _GB,
        gt=0,
        validation_alias=either("STEMSERVE_ARCHIVE_MAX_BYTES", "ARCHIVE_MAX_BYTES"),
        description="Maximum size of media to archive, in bytes.",
    )
    archive_reserve_bytes: int = Field(
        default=2 * _GB,
        ge=0,
        description="Free space that downloads leave on the disk: with less, they "
        "fail early.",
    )
    archive_downloads: int = Field(
        default=5, ge=1, description="Maximum number of downloads at once."
    )
    archive_downloads_per_host: int = Field(
        default=2, ge=1, description="Maximum number of downloads at once of one host."
    )
    archive_stall_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Time without a byte after which a download is interrupted, and "
        "continued.",
    )
    archive_max_height: int = Field(
        default=0,
        ge=0,
        description="Highest variant of a playlist that is archived, as in `720`; 0: "
        "the best one.",
    )
    archive_retention_seconds: float | None = Field(
        default=None,
        gt=0,
        description="How long media is kept. Default: until it is deleted.",
    )
    archive_redirects: bool = Field(
        default=False,
        description="Redirect players to signed URLs of the store, if it has them, "
        "rather than sending media through this server.",
    )
    archive_url: str = Field(
        default="",
        validation_alias=either("STEMSERVE_ARCHIVE_URL", "CLOUDFLARE_WORKERS_URL"),
        description="Public URL of the process that streams media. Default: in "
        "responses, the URL that the request was sent to.",
    )
    archive_port: int = Field(
        default=8001,
        ge=1,
        le=65535,
        description="Port of the process that streams media, which `stemserve serve` "
        "starts if the archive runs.",
    )
    archive_database_url: SecretStr = _secret(
        "Postgres with the old API's tables, as a URL; it may be behind a pooler of "
        "transactions.",
        *("STEMSERVE_ARCHIVE_DATABASE_URL", "ARCHIVE_DATABASE_URL"),
    )
    archive_supabase_url: str = Field(
        default="",
        validation_alias=either("STEMSERVE_ARCHIVE_SUPABASE_URL", "SUPABASE_URL"),
        description="Supabase project with the old API's tables, reached over its "
        "REST API.",
    )
    archive_supabase_key: SecretStr = _secret(
        "Service role key of that project.",
        *("STEMSERVE_ARCHIVE_SUPABASE_KEY", "SUPABASE_SERVICE_ROLE_KEY"),
    )

    @field_validator(
        *("archive_hosts", "archive_allow_networks", "archive_providers"),
        mode="before",
    )
    @classmethod
    def _split_archive_lists(cls, value: Any) -> Any:
        return split(value, ",")

    @field_validator("archive_stores", mode="before")
    @classmethod
    def _split_archive_stores(cls, value: Any) -> Any:
        return split(value, None)

    @property
    def archive_trigger_secret(self) -> str:
        """The bearer of `POST /trigger`, or "" if nothing is secret."""
        return (self.archive_secret or self.archive_salt).get_secret_value()

    @property
    def archive_name_salt(self) -> str:
        """The secret in the names of objects."""
        return (self.archive_salt or self.archive_secret).get_secret_value()

    @property
    def archive_is_local(self) -> bool:
        """Whether media lies in the data directory, for want of other stores."""
        return not (self.archive_stores or self.archive_hub_accounts)

    @property
    def archive_hub_accounts(self) -> dict[int, tuple[str, str]]:
        """The user and the token of each Hugging Face account, by its number."""
        found = {}
        for number in range(1, 6):
            user: str = getattr(self, f"archive_hub_user_{number}")
            token: SecretStr = getattr(self, f"archive_hub_token_{number}")
            if user and token:
                found[number] = (user, token.get_secret_value())
        return found
