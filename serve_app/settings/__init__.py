"""All settings of the service, with defaults that work."""

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
# The default ports of development servers: create-react-app, Vite and Expo.
LOCAL_ORIGINS = tuple(
    f"http://{host}:{port}"
    for port in (3000, 5173, 8081)
    for host in ("localhost", "127.0.0.1")
)


def _either(*names: str) -> AliasChoices:
    """Accept the field's own variable, or those of older deployments."""
    return AliasChoices(*names)


class _Source(PydanticBaseSettingsSource):
    """Reads arguments, and environment variables for settings without an argument.

    An empty variable counts as unset: then the setting's next variable is read.
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
            # Pydantic passes an argument under the name of the field's first variable.
            given = [values.pop(key) for key in variables(name, field) if key in values]
            if given:
                values[name] = given[0]
            elif name not in values:
                value, _, _ = self.get_field_value(field, name)
                if value is not None:
                    values[name] = value
        return values


class Settings(BaseSettings):
    """The settings of an operator, from environment variables `STEMSERVE_<FIELD>`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        # Errors name the field and not the variable.
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
        """Read only arguments and the environment."""
        return (_Source(settings_cls, init_settings),)

    data_dir: Path = Field(
        default=Path("data"),
        description="Directory of the embedded database and of the local files.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=_either("STEMSERVE_DATABASE_URL", "DATABASE_URL"),
        description="SQLAlchemy URL of the job database. Default: a SQLite file in "
        "data_dir.",
    )
    storage: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Where files are stored: a directory or `s3://bucket/folder`, with "
        "`?endpoint_url=…&region=…` if it is not Amazon's. Files are distributed over "
        "several stores, separated by spaces. Default: data_dir/files.",
    )
    storage_copies: int = Field(
        default=1, ge=1, description="Number of copies of each file in several stores."
    )
    storage_salt: SecretStr = Field(
        default=SecretStr(""),
        description="Secret for unguessable names of files in several stores. It must "
        "not change.",
    )
    temp_dir: Path | None = Field(
        default=None,
        description="Directory for working files of running jobs. Default: "
        "data_dir/tmp.",
    )
    weights_dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "stemserve" / "weights",
        description="Cache of downloaded weights.",
    )
    weights_mirror: str | None = Field(
        default=None,
        description="Base URL or directory of a copy of the weights. Default: their "
        "public URLs.",
    )
    weights_timeout_seconds: float = Field(
        default=60.0, gt=0, description="Read timeout of downloads of weights."
    )
    model: str = Field(
        default=AUTO,
        description="Default model of requests; `auto` is the best available one.",
    )
    beats: Literal["built-in", "beat-this", "beat-this-small"] = Field(
        default="built-in",
        description="Beat tracker: the `built-in` network, or `beat-this` or "
        "`beat-this-small` (an extra), whose weights are downloaded.",
    )
    allowed_licences: Literal["any", "permissive"] = Field(
        default="any",
        validation_alias=_either(
            "STEMSERVE_ALLOWED_LICENCES", "STEMSERVE_ALLOWED_LICENSES"
        ),
        description="`any` serves all models, `permissive` only those whose weights "
        "have a licence such as MIT; `stemserve models list` shows the licences.",
    )
    device: str = Field(
        default="auto",
        description="`cpu`, `cuda`, `cuda:N`, or `auto`: CUDA if available.",
    )
    runtime: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="Inference runtime: `torch`, `openvino` (an extra, for CPUs), or "
        "`auto`: OpenVINO, if installed, on CPUs with bf16, else torch.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="`fp32`, `bf16`, `fp16` (CUDA only), or `auto`: bf16 if the device "
        "is fast at it, fp16 on older GPUs, else fp32.",
    )
    compiled: bool = Field(
        default=False,
        description="Compile the network with torch.compile, which adds a minute to "
        "the start.",
    )
    threads: int = Field(
        default=0, ge=0, description="CPU threads of a Separator; 0: one per core."
    )
    streams: int = Field(
        default=0,
        ge=0,
        description="Windows that a CPU computes at once, each with its share of the "
        "threads; 0: 2 with OpenVINO, and 1 with torch, to save memory.",
    )
    batch_windows: int = Field(
        default=0,
        ge=0,
        description="Maximum number of windows in a batch; 0: 1 on a CPU, 12 on a GPU.",
    )
    songs_at_once: int = Field(
        default=4,
        ge=1,
        description="Songs that one Separator replica processes at once. It may start "
        "one more of another client, or a short one if the others are long.",
    )
    keep_windows: bool = Field(
        default=True,
        description="Store each window's output until the song is done (1.4 MB per "
        "second of it), so that a crash loses only the windows in progress.",
    )
    max_upload_bytes: int = Field(
        default=50 * MIB, ge=1, description="Maximum size of an upload, else 413."
    )
    disk_reserve_bytes: int = Field(
        default=1024 * MIB,
        ge=0,
        description="Free space on local disks that is reserved for accepted songs, "
        "which need about 4 MB per second: while less is free, new songs get 503.",
    )
    upload_seconds: int = Field(
        default=3600,
        ge=1,
        le=7 * 24 * 3600,
        description="How long the signed URLs of direct uploads to S3 "
        "(`POST /uploads`) are valid.",
    )
    input_urls: bool = Field(
        default=True, description="Let clients give URLs of songs to download."
    )
    input_url_schemes: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("https",),
        description="Allowed schemes of these URLs, comma-separated: `https`, `http`.",
    )
    input_url_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Allowed hosts of these URLs, comma-separated; `*.example.com` "
        "allows its subdomains. Default: all public hosts.",
    )
    input_url_seconds: float = Field(
        default=60.0, gt=0, description="Timeout of these downloads, in total."
    )
    input_buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Buckets, or folders in them, whose songs clients may give as "
        "`s3://bucket/key`; in the form of storage, separated by spaces.",
    )
    max_duration_seconds: float = Field(
        default=2 * 3600.0, gt=0, description="Maximum duration of a song, else 413."
    )
    max_audio_values: int = Field(
        default=2_100_000_000,
        ge=1,
        description="Maximum number of samples of a song, in all channels together, "
        "else 413. The default allows 2 hours of 48 kHz in 5.1.",
    )
    decode_cpu_seconds: int = Field(
        default=120,
        ge=1,
        description="Maximum CPU time to decode an upload, else 413.",
    )
    decode_memory_bytes: int = Field(
        default=1024 * MIB,
        ge=256 * MIB,
        description="Maximum memory to decode an upload, else 413. Up to eight uploads "
        "are decoded at once.",
    )
    max_queued_jobs: int = Field(
        default=100,
        ge=1,
        description="Maximum number of queued jobs, else 429 with Retry-After.",
    )
    client_queue_share: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Maximum share of the queue for one client: a tenant, or an IP "
        "address on servers without tenants.",
    )
    max_job_disk_bytes: int = Field(
        default=64 * 1024 * MIB,
        ge=1,
        description="Maximum disk space of all files of a job, by an upper estimate "
        "(42 GB for 2 hours of 44.1 kHz), else 413.",
    )
    max_client_disk_bytes: int = Field(
        default=128 * 1024 * MIB,
        ge=1,
        description="Maximum disk space of one client's unfinished jobs, by the same "
        "estimate, else 429 with Retry-After.",
    )
    reuse_songs: bool = Field(
        default=True,
        description="Reuse the stems of an earlier job with the same song and the same "
        "options, until they expire.",
    )
    tenant_header: str = Field(
        default="",
        description="Header in which your gateway names the tenant of a request. "
        "Tenants see only their own jobs, and requests for jobs or songs without the "
        "header are refused. Default: no tenants; all clients see all jobs.",
    )
    max_attempts: int = Field(
        default=3, ge=1, description="Failed attempts after which a job fails."
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Time without renewal after which a dispatcher loses its jobs.",
    )
    heartbeat_timeout_seconds: float = Field(
        default=40.0,
        gt=0,
        description="Time without heartbeats after which a Separator is killed and its "
        "jobs are run again.",
    )
    retention_seconds: float = Field(
        default=30 * 60.0,
        ge=0,
        description="How long results are kept after the end of a job.",
    )
    orphan_grace_seconds: float = Field(
        default=600.0,
        ge=0,
        description="Age at which stored files without a job are deleted.",
    )
    webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Secret that signs webhooks; `stemserve listen` generates one. To "
        "rotate it, set two, the new one first. Default: no webhooks are sent.",
    )
    webhook_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Allowed hosts of webhooks, comma-separated, as in "
        "`example.com,*.example.com`. Default: all public hosts.",
    )
    allow_private_webhooks: bool = Field(
        default=False,
        description="Send webhooks also to private addresses, over plain http and to "
        "any port, for development and tests.",
    )
    download_link_seconds: int = Field(
        default=0,
        ge=0,
        le=7 * 24 * 3600,
        description="How long the signed URLs of stems in S3 are valid; 0: clients "
        "download stems through the server.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=LOCAL_ORIGINS,
        validation_alias=_either(
            "STEMSERVE_CORS_ORIGINS", "CORS_ORIGINS", "ALLOW_ORIGINS"
        ),
        description="Allowed origins of web pages besides the server's own, "
        "comma-separated; `*` allows all.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Allowed Host headers besides the host of public_url, "
        "comma-separated; `*.example.com` allows its subdomains, `*` all. Default: "
        "localhost on a server that listens on 127.0.0.1 or ::1, else all.",
    )
    public_url: str = Field(
        default="",
        validation_alias=_either(
            "STEMSERVE_PUBLIC_URL",
            "STEMSERVE_HF_SPACE_URL",
            "HF_SPACE_URL",
            "HUGGINGFACE_SPACE_URL",
        ),
        description="Public URL of the server, such as `https://stems.example.com`, "
        "optionally with a path: the base of all URLs in responses and webhooks. "
        "Default: in responses, the URL that the request was sent to.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses and networks of your proxies, comma-separated, as in "
        "`10.0.0.0/8,::1`. `X-Forwarded-For`, `-Proto` and `-Host` are ignored from "
        "others. `*` trusts all clients: use it only if they can't connect directly.",
    )
    log_level: str = Field(
        default="INFO",
        validation_alias=_either("STEMSERVE_LOG_LEVEL", "LOG_LEVEL"),
        description="Minimum level of log messages.",
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
        """Accept `hf_space_url`, the former name of `public_url`, in Serve configs."""
        if isinstance(values, dict) and "hf_space_url" in values:
            values = dict(values)
            values["public_url"] = values.pop("hf_space_url")
        return values

    @property
    def effective_database_url(self) -> str:
        """The URL of the job database; by default, of the embedded one."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'jobs.sqlite3'}"

    @property
    def effective_hosts(self) -> tuple[str, ...]:
        """The allowed Host headers; empty if all are allowed."""
        public_host = urlsplit(self.public_url).hostname
        if not self.allowed_hosts or not public_host:
            return self.allowed_hosts
        return (*self.allowed_hosts, public_host)

    @property
    def working_dir(self) -> Path:
        """The directory of running jobs' files; unused ones in it may be deleted."""
        return (self.temp_dir or self.data_dir / "tmp").absolute()

    @property
    def effective_storage(self) -> tuple[str, ...]:
        """The stores of files; by default, the embedded directory."""
        return self.storage or (str(self.data_dir.absolute() / "files"),)


# The characters of a path in RFC 3986; others would have to be escaped.
_URL_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")
_URL_HOST = re.compile(r"[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\]")


def _public_url(value: str) -> str:
    """Return a base URL without a trailing slash; raise ValueError if it is invalid."""
    try:
        parts = urlsplit(value)
        # Raises ValueError for an invalid port.
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        parts, port = urlsplit(""), ""
    host = parts.netloc.removesuffix(port)
    is_base = _URL_HOST.fullmatch(host) and _URL_PATH.fullmatch(parts.path)
    if parts.scheme not in ("http", "https") or not is_base or set(value) & {"?", "#"}:
        raise ValueError(
            "must be http:// or https:// with a host, optionally a port and a path, "
            "and no user, query or fragment, such as https://stems.example.com"
        )
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def _check_network(value: str) -> None:
    if value == "*":
        return
    try:
        ip_network(value, strict=False)
    except ValueError as err:
        raise ValueError(
            f"{value!r} must be an IP address, a network or `*`, such as 10.0.0.5, "
            "10.0.0.0/8 or ::1"
        ) from err


def variables(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Return the environment variables of a field, in order of precedence."""
    if isinstance(field.validation_alias, AliasChoices):
        choices = field.validation_alias.choices
        return tuple(choice for choice in choices if isinstance(choice, str))
    return (f"{environment.PREFIX}{name.upper()}",)


def all_variables() -> tuple[str, ...]:
    """Return the environment variables of all settings."""
    fields = Settings.model_fields.items()
    return tuple(name for item in fields for name in variables(*item))
