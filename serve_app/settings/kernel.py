"""The section of the kernel: what all systems share."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from serve_app.settings.section import MIB, Section, either, split

# The default ports of development servers: create-react-app, Vite and Expo.
LOCAL_ORIGINS = tuple(
    f"http://{host}:{port}"
    for port in (3000, 5173, 8081)
    for host in ("localhost", "127.0.0.1")
)


class KernelSettings(Section):
    """Database, files, messages and logs."""

    data_dir: Path = Field(
        default=Path("data"),
        description="Directory of the embedded database and of the local files.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=either("STEMSERVE_DATABASE_URL", "DATABASE_URL"),
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
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Time without renewal after which a dispatcher loses its jobs.",
    )
    orphan_grace_seconds: float = Field(
        default=600.0,
        ge=0,
        description="Age at which stored files without a job are deleted.",
    )
    stream_seconds: float = Field(
        default=90.0,
        gt=0,
        description="Age at which event streams and resumable playbacks end, for their "
        "clients to reconnect: shorter than your proxies keep connections at a "
        "reload, HAProxy for 120. At most the Api's graceful_shutdown_timeout_s.",
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
        validation_alias=either(
            "STEMSERVE_CORS_ORIGINS", "CORS_ORIGINS", "ALLOW_ORIGINS"
        ),
        description="Allowed origins of web pages besides the server's own, "
        "comma-separated; `http://localhost:*` has any port, and `*` allows all.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Allowed Host headers besides the host of public_url, "
        "comma-separated; `*.example.com` allows its subdomains, `*` all. Default: "
        "localhost on a server that listens on 127.0.0.1 or ::1, else all.",
    )
    public_url: str = Field(
        default="",
        validation_alias=either(
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
        "`10.0.0.0/8,::1`. `X-Forwarded-For`, `-Proto` and `-Host`, and `traceparent` "
        "are ignored from others. `*` trusts all clients: use it only if they can't "
        "connect directly.",
    )
    log_level: str = Field(
        default="INFO",
        validation_alias=either("STEMSERVE_LOG_LEVEL", "LOG_LEVEL"),
        description="Minimum level of log messages.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="Format of the log files: `text`, or `json` with one object a "
        "line, for log collectors of clusters.",
    )
    metrics_access: Literal["admin", "open", "off"] = Field(
        default="admin",
        description="Who may read `GET /metrics`: `admin` (keys with the scope "
        "`admin`; where access is open, everyone), `open` (everyone), or `off` (404).",
    )

    page: bool = Field(
        default=True,
        description="Serve a page for people at `/page`, where `stems` run. Browsers "
        "are redirected to it from `/`.",
    )
    hf_space: str = Field(
        default="",
        validation_alias=either("STEMSERVE_HF_SPACE", "SPACE_ID"),
        description="The Hugging Face Space in which the server runs. The Space sets "
        "it itself; then huggingface.co may show the page in a frame.",
    )

    traces: Literal["off", "otlp"] = Field(
        default="off",
        description="`otlp` exports traces (an extra) to the collector that the "
        "standard `OTEL_EXPORTER_OTLP_ENDPOINT` names, by default "
        "`http://localhost:4318`.",
    )

    @field_validator("webhook_secrets", mode="before")
    @classmethod
    def _split_both(cls, value: Any) -> Any:
        return split(value.replace(",", " ") if isinstance(value, str) else value, None)

    @field_validator("storage", mode="before")
    @classmethod
    def _split_storage(cls, value: Any) -> Any:
        return split(value, None)

    @field_validator(
        *("cors_origins", "webhook_hosts", "allowed_hosts", "trusted_proxies"),
        mode="before",
    )
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        return split(value, ",")

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
