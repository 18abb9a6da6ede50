"""Every setting of the service, with a default that starts."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from serve_app.settings import environment

MIB = 1024**2
AUTO = "auto"
BUILT_IN = "built-in"
# Where development servers of web pages listen: create-react-app, Vite and Expo.
LOCAL_ORIGINS = tuple(
    f"http://{host}:{port}"
    for port in (3000, 5173, 8081)
    for host in ("localhost", "127.0.0.1")
)


def _either(*names: str) -> AliasChoices:
    """Accept the field under our own variable or under those older clients set."""
    return AliasChoices(*names)


class _Source(PydanticBaseSettingsSource):
    """Arguments, and the environment's variables for settings that they don't name.

    An empty variable counts as unset: then the next one of the same setting is read.
    """

    def __init__(
        self, settings_cls: type[BaseSettings], given: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._given = given
        self._environ = environment.cleaned(os.environ)

    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[Any, str, bool]:
        variable = environment.first_set(variables(field_name, field), self._environ)
        return self._environ.get(variable or ""), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = dict(self._given())
        for name, field in self.settings_cls.model_fields.items():
            # What is given by its field's name arrives here by its first variable's.
            given = [values.pop(key) for key in variables(name, field) if key in values]
            if given:
                values[name] = given[0]
            elif name not in values:
                value, _, _ = self.get_field_value(field, name)
                if value is not None:
                    values[name] = value
        return values


class Settings(BaseSettings):
    """What an operator can set, by environment variables `STEMSERVE_<FIELD>`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        # Errors name the field, whichever of its variables was set.
        loc_by_alias=False,
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments and the environment, and nothing else."""
        return (_Source(settings_cls, init_settings),)

    data_dir: Path = Field(
        default=Path("data"),
        description="Directory of the embedded database and of the local file store.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=_either("STEMSERVE_DATABASE_URL", "DATABASE_URL"),
        description="SQLAlchemy URL of the job database; a SQLite file in data_dir "
        "when unset.",
    )
    storage: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Where files are kept: a directory, or `s3://bucket/folder`, with "
        "`?endpoint_url=…&region=…` where it is not Amazon's. Several, separated by "
        "spaces, are used as one. data_dir/files when unset.",
    )
    storage_copies: int = Field(
        default=1, ge=1, description="On how many of several stores each file lies."
    )
    storage_salt: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that makes the names of files in several stores "
        "unguessable. It must stay the same.",
    )
    temp_dir: Path | None = Field(
        default=None,
        description="Directory for working files of running jobs; data_dir/tmp when "
        "unset.",
    )
    weights_dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "stemserve" / "weights",
        description="Cache of downloaded weights.",
    )
    weights_mirror: str | None = Field(
        default=None,
        description="Base URL or directory that has the weights, instead of their "
        "public address.",
    )
    weights_timeout_seconds: float = Field(
        default=60.0, gt=0, description="Longest silence of a download of weights."
    )
    model: str = Field(
        default=AUTO,
        description="Model for requests that name none; `auto` is the best one that "
        "can be had.",
    )
    beats: Literal["built-in", "beat-this", "beat-this-small"] = Field(
        default="built-in",
        description="What hears beats: the `built-in` network, or `beat-this` or "
        "`beat-this-small` (an extra), whose weights are fetched.",
    )
    allowed_licences: Literal["any", "permissive"] = Field(
        default="any",
        validation_alias=_either(
            "STEMSERVE_ALLOWED_LICENCES", "STEMSERVE_ALLOWED_LICENSES"
        ),
        description="`permissive` serves only models whose weights have a licence such "
        "as MIT, `any` serves all; `stemserve models list` shows the licences.",
    )
    device: str = Field(
        default="auto",
        description="`cpu`, `cuda`, `cuda:N`, or `auto`: CUDA where there is one.",
    )
    runtime: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="What computes the network: `torch`, `openvino` (an extra, for "
        "CPUs), or `auto`: OpenVINO on CPUs with bf16 where it is installed.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="`fp32`, `bf16`, `fp16` (CUDA only), or `auto`: bf16 where the "
        "device is fast at it, fp16 on older GPUs, else fp32.",
    )
    compiled: bool = Field(
        default=False,
        description="Compile the network with torch.compile: a minute more at start.",
    )
    threads: int = Field(
        default=0, ge=0, description="CPU threads of a Separator; 0 is one per core."
    )
    streams: int = Field(
        default=0,
        ge=0,
        description="Windows that a CPU computes at once, each with its share of the "
        "threads; 0 is 2 with OpenVINO, 1 with torch, which then needs less memory.",
    )
    batch_windows: int = Field(
        default=0,
        ge=0,
        description="Most windows in one batch; 0 is 1 on a CPU and 12 on a GPU.",
    )
    songs_at_once: int = Field(
        default=4,
        ge=1,
        description="Songs that one Separator replica works on together, and one more "
        "where that is another client's, or a short one beside long ones.",
    )
    keep_windows: bool = Field(
        default=True,
        description="Store what is computed of a song window by window (1.4 MB for "
        "each second of it, until it is done), so that a crash costs no more than the "
        "windows under way.",
    )
    max_upload_bytes: int = Field(
        default=50 * MIB, ge=1, description="Largest upload; larger ones get 413."
    )
    disk_reserve_bytes: int = Field(
        default=1024 * MIB,
        ge=0,
        description="Space that is kept free on local disks for songs that were "
        "accepted, each of which needs some 4 MB a second: with less, others get 503.",
    )
    upload_seconds: int = Field(
        default=3600,
        ge=1,
        le=7 * 24 * 3600,
        description="How long the signed addresses last that clients get to send files "
        "to S3 (`POST /uploads`).",
    )
    input_urls: bool = Field(
        default=True, description="Fetch songs from the web for clients that give URLs."
    )
    input_url_schemes: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("https",),
        description="Schemes of these URLs, comma-separated: `https`, `http`.",
    )
    input_url_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Hosts of these URLs, comma-separated; `*.example.com` is all "
        "below it. Any public one when unset.",
    )
    input_url_seconds: float = Field(
        default=60.0, gt=0, description="Longest time that such a song may take."
    )
    input_buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Buckets, or folders in them, from which clients may name songs as "
        "`s3://bucket/key`; written as in storage, separated by spaces.",
    )
    max_duration_seconds: float = Field(
        default=2 * 3600.0, gt=0, description="Longest song; longer ones get 413."
    )
    max_audio_values: int = Field(
        default=2_100_000_000,
        ge=1,
        description="Most samples of a song, those of all channels together; more get "
        "413. The default takes 2 hours of 48 kHz in 5.1.",
    )
    decode_cpu_seconds: int = Field(
        default=120,
        ge=1,
        description="Most computing time for decoding a song when it comes in; one "
        "that takes more gets 413.",
    )
    decode_memory_bytes: int = Field(
        default=1024 * MIB,
        ge=256 * MIB,
        description="Most memory for decoding a song when it comes in, eight of which "
        "are decoded at once; one that takes more gets 413.",
    )
    max_queued_jobs: int = Field(
        default=100, ge=1, description="Jobs waiting; past that, 429 with Retry-After."
    )
    client_queue_share: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Part of these that the jobs of one client may be: a tenant, or an "
        "address where there are none.",
    )
    max_job_disk_bytes: int = Field(
        default=64 * 1024 * MIB,
        ge=1,
        description="Most disk that a job may need, all its files together, by an "
        "upper estimate (42 GB for 2 hours of 44.1 kHz); larger ones get 413.",
    )
    max_client_disk_bytes: int = Field(
        default=128 * 1024 * MIB,
        ge=1,
        description="Most disk that the unfinished jobs of one client may need, by the "
        "same estimate; past that, 429 with Retry-After.",
    )
    reuse_songs: bool = Field(
        default=True,
        description="Give a song that was separated before, with the same options and "
        "not yet expired, the stems that are there.",
    )
    tenant_header: str = Field(
        default="",
        description="Header in which your gateway names the tenant that sends a "
        "request. Tenants see their own jobs alone, and without the header no request "
        "for jobs or songs is answered; all clients are one when unset.",
    )
    max_attempts: int = Field(
        default=3, ge=1, description="Charged attempts after which a job is failed."
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="A dispatcher silent for this long loses its jobs.",
    )
    heartbeat_timeout_seconds: float = Field(
        default=40.0,
        gt=0,
        description="A Separator whose heartbeats stop for this long hangs: it is "
        "killed, and its jobs are run again.",
    )
    retention_seconds: float = Field(
        default=30 * 60.0,
        ge=0,
        description="How long results are kept once a job has ended.",
    )
    orphan_grace_seconds: float = Field(
        default=600.0,
        ge=0,
        description="Age at which stored files that belong to no job are deleted.",
    )
    webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Secret that webhooks are signed with, as `stemserve listen` makes "
        "one; two, the new one first, while receivers change over. Without one no "
        "webhooks are sent.",
    )
    webhook_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Hosts that webhooks may be sent to, comma-separated, as in "
        "`example.com,*.example.com`; all public ones when unset.",
    )
    allow_private_webhooks: bool = Field(
        default=False,
        description="Send webhooks also to addresses that are not public, by plain "
        "http and to any port: for local work and tests.",
    )
    download_link_seconds: int = Field(
        default=0,
        ge=0,
        le=7 * 24 * 3600,
        description="How long the signed addresses last that clients get for stems in "
        "S3; 0 has them download through this service.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=LOCAL_ORIGINS,
        validation_alias=_either(
            "STEMSERVE_CORS_ORIGINS", "CORS_ORIGINS", "ALLOW_ORIGINS"
        ),
        description="Origins of the web pages that may use the service beside its own, "
        "comma-separated; `*` is any.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Hosts that requests may name, comma-separated, beside that of "
        "public_url; `*.example.com` is all below it, `*` is any. When unset, "
        "localhost on a server that listens on 127.0.0.1 or ::1, else any.",
    )
    public_url: str = Field(
        default="",
        validation_alias=_either(
            "STEMSERVE_PUBLIC_URL",
            "STEMSERVE_HF_SPACE_URL",
            "HF_SPACE_URL",
            "HUGGINGFACE_SPACE_URL",
        ),
        description="Where clients reach the service: `https://stems.example.com`, "
        "with a path if need be. It is the base of all URLs that they are given, also "
        "in webhooks. When unset, the address that each request was sent to.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses and networks of your proxies, comma-separated, as in "
        "`10.0.0.0/8,::1`: only from these do `X-Forwarded-For`, `-Proto` and `-Host` "
        "count. `*` believes every client: only where nothing but a proxy can connect.",
    )
    log_level: str = Field(
        default="INFO",
        validation_alias=_either("STEMSERVE_LOG_LEVEL", "LOG_LEVEL"),
        description="Least severe level that is logged.",
    )

    @field_validator("webhook_secrets", mode="before")
    @classmethod
    def _split_both(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(value.replace(",", " ").split())
        return value

    @field_validator("storage", "input_buckets", mode="before")
    @classmethod
    def _split_spaces(cls, value: Any) -> Any:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator(
        *("cors_origins", "input_url_schemes", "input_url_hosts", "webhook_hosts"),
        *("allowed_hosts", "trusted_proxies"),
        mode="before",
    )
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("public_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return _public_url(value) if value else value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            _check_network(each)
        return value

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, values: Any) -> Any:
        """Take `hf_space_url` from Serve configs written when that was its name."""
        if isinstance(values, dict) and "hf_space_url" in values:
            values = dict(values)
            values["public_url"] = values.pop("hf_space_url")
        return values

    @property
    def effective_database_url(self) -> str:
        """The job database's URL, the embedded one when none is set."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'jobs.sqlite3'}"

    @property
    def effective_hosts(self) -> tuple[str, ...]:
        """The hosts that requests may name; any if there are none."""
        public_host = urlsplit(self.public_url).hostname
        if not self.allowed_hosts or not public_host:
            return self.allowed_hosts
        return (*self.allowed_hosts, public_host)

    @property
    def working_dir(self) -> Path:
        """Where running jobs keep their files; all in it may go when none runs."""
        return (self.temp_dir or self.data_dir / "tmp").absolute()

    @property
    def effective_storage(self) -> tuple[str, ...]:
        """Where files are kept, the embedded directory when nothing is set."""
        return self.storage or (str(self.data_dir.absolute() / "files"),)


# The characters of RFC 3986's path; in anything else a URL would have to be escaped.
_URL_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")
_URL_HOST = re.compile(r"[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\]")


def _public_url(value: str) -> str:
    """Return a base URL without a slash at its end; ValueError if it is none."""
    try:
        parts = urlsplit(value)
        # Raises for what is no port.
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        parts, port = urlsplit(""), ""
    host = parts.netloc.removesuffix(port)
    is_base = _URL_HOST.fullmatch(host) and _URL_PATH.fullmatch(parts.path)
    if parts.scheme not in ("http", "https") or not is_base or set(value) & {"?", "#"}:
        raise ValueError(
            "it must be http:// or https:// with a host, and perhaps a port and a "
            "path, but no user, query or fragment: https://stems.example.com"
        )
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def _check_network(value: str) -> None:
    if value == "*":
        return
    try:
        ip_network(value, strict=False)
    except ValueError as err:
        raise ValueError(
            f"{value!r} is no address or network: write 10.0.0.5, 10.0.0.0/8, ::1 or *"
        ) from err


def variables(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Return the environment variables that set a field, the first that is set wins."""
    if isinstance(field.validation_alias, AliasChoices):
        choices = field.validation_alias.choices
        return tuple(choice for choice in choices if isinstance(choice, str))
    return (f"{environment.PREFIX}{name.upper()}",)


def all_variables() -> tuple[str, ...]:
    """Return every environment variable that sets something."""
    fields = Settings.model_fields.items()
    return tuple(name for item in fields for name in variables(*item))
