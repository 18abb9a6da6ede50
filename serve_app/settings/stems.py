"""The section of the system `stems`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from serve_app.settings.section import MIB, Section, either, split

AUTO = "auto"
BUILT_IN = "built-in"


class StemsSettings(Section):
    """Models, computing, songs and their jobs."""

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
        validation_alias=either(
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
        description="Maximum number of windows in a batch; 0: 1 on a CPU, 16 on a GPU.",
    )
    songs_at_once: int = Field(
        default=5,
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
    max_attempts: int = Field(
        default=3, ge=1, description="Failed attempts after which a job fails."
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

    @field_validator("input_buckets", mode="before")
    @classmethod
    def _split_buckets(cls, value: Any) -> Any:
        return split(value, None)

    @field_validator("input_url_schemes", "input_url_hosts", mode="before")
    @classmethod
    def _split_lists(cls, value: Any) -> Any:
        return split(value, ",")
