"""What goes over the wire: the shapes of answers about songs and their stems."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from serve_app.api.wire import (
    EXAMPLE_BASE_URL,
    EXAMPLE_CREATED,
    EXAMPLE_EXPIRES,
    EXAMPLE_JOB_ID,
    EXAMPLE_UPDATED,
    IgnoredFields,
    UtcTime,
    Wire,
)
from serve_app.filenames import titles
from serve_app.separation import licences

EXAMPLE_JOB_URL = f"{EXAMPLE_BASE_URL}/job/{EXAMPLE_JOB_ID}"
_LICENCES = asdict(licences.BY_MODEL["hdemucs_high_musdb_plus"])


class JobStatus(StrEnum):
    """Where a job stands, in the words of its clients."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Accepted(Wire):
    """A song that was taken in."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
                "job_id": EXAMPLE_JOB_ID,
                "status": "pending",
                "message": "Separation started. Poll /job/{job_id} for its progress.",
                "filename": "song.mp3",
                "size_bytes": 4831216,
                "duration": 201.3,
                "model": "hdemucs_high_musdb_plus",
                "stems": ["drums", "bass", "other", "vocals"],
                "format": "wav",
                "status_url": f"{EXAMPLE_BASE_URL}/job/{EXAMPLE_JOB_ID}",
                "hf_space_url": EXAMPLE_BASE_URL,
            }
        }
    )

    success: Literal[True] = True
    job_id: str = Field(description="What to poll `/job/{job_id}` with.")
    status: Literal[JobStatus.PENDING] = JobStatus.PENDING
    message: str
    filename: str
    size_bytes: int
    duration: float = Field(description="Length of the song in seconds.")
    model: str
    stems: tuple[str, ...] = Field(description="The stems that will be made.")
    format: str = Field(description="The file format that they will have.")
    status_url: str = Field(description="Where to poll: an absolute URL.")
    hf_space_url: str = Field(
        default="", description="The service's public base URL; empty if it has none."
    )
    cache: str | None = Field(
        default=None,
        description="`hit`: the stems are there already, from another job.",
    )
    ignored_fields: IgnoredFields = ()


def _title(name: Any) -> Any:
    return titles.clean(name or "") if isinstance(name, str | None) else name


class NewUpload(BaseModel):
    """A file that a client wants to send to the store itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filename: Annotated[str, BeforeValidator(_title)] = Field(
        default=titles.DEFAULT,
        description="The song's name, any text.",
        examples=["song.flac"],
    )
    size_bytes: int = Field(ge=1, description="How large exactly it is.")


class UploadPart(Wire):
    """A part of a file, and where to PUT it."""

    number: int
    url: str


class DirectUpload(Wire):
    """Where to send a file."""

    upload_id: str = Field(description="What to name it by to `POST /separate`.")
    part_bytes: int = Field(description="Size of every part but the last.")
    parts: list[UploadPart]
    expires_at: UtcTime = Field(description="When the addresses expire.")


class JobOptions(Wire):
    """What the client asked for."""

    model: str
    stems: tuple[str, ...]
    format: str
    priority: str
    bpm_range: tuple[float, float] | None = Field(
        default=None,
        description="Between which tempos the song's is, if that was said.",
    )


class WebhookStem(Wire):
    """A finished stem, as a webhook tells of it."""

    filename: str
    size: int = Field(description="Its size in bytes.")
    download_url: str | None = Field(
        description="Where it is: an absolute URL; null if the service has no public "
        "one, which its operator sets."
    )
    media_type: str
    sha256: str = Field(description="Hash of its bytes; also its ETag.")


class Stem(WebhookStem):
    """A finished stem."""

    download_url: str = Field(description="Where it is: an absolute URL.")


class Licence(Wire):
    """A licence, and what it means for the model that has it."""

    name: str = Field(description="SPDX identifier, or `LicenseRef-…` if it has none.")
    summary: str
    url: str = Field(description="The source: a URL, or a file of the repository.")


class Licences(Wire):
    """The licences of a model: its code, its weights, what these were trained on."""

    code: Licence
    weights: Licence
    training_data: Licence


class WebhookJob(Wire):
    """A job, as a webhook tells of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": EXAMPLE_JOB_ID,
                "status": "completed",
                "progress": 100.0,
                "filename": "song.mp3",
                "created_at": EXAMPLE_CREATED,
                "updated_at": EXAMPLE_UPDATED,
                "expires_at": EXAMPLE_EXPIRES,
                "model": "hdemucs_high_musdb_plus",
                "format": "wav",
                "options": {
                    "model": "hdemucs_high_musdb_plus",
                    "stems": ["drums"],
                    "format": "wav",
                    "priority": "normal",
                },
                "duration": 201.3,
                "sample_rate": 44100,
                "gain": 1.0,
                "engine": {"runtime": "torch", "precision": "bf16", "device": "cuda"},
                "analysis": {"bpm": 124.0, "key": "C# minor"},
                "licences": _LICENCES,
                "stems": {
                    "drums": {
                        "filename": "song_drums.wav",
                        "size": 35509364,
                        "download_url": f"{EXAMPLE_JOB_URL}/stems/drums",
                        "media_type": "audio/wav",
                        "sha256": "a" * 64,
                    }
                },
            }
        }
    )

    job_id: str
    status: JobStatus
    progress: float = Field(ge=0, le=100, description="Per cent done.")
    filename: str = Field(description="The name of the song as it was uploaded.")
    created_at: UtcTime
    updated_at: UtcTime
    expires_at: UtcTime | None = Field(
        default=None, description="When the job and its files are deleted."
    )
    stage: str | None = Field(default=None, description="What a running job does now.")
    eta_seconds: float | None = Field(
        default=None, description="About how long a running job still takes."
    )
    model: str
    format: str
    options: JobOptions
    duration: float = Field(description="Length of the song in seconds.")
    sample_rate: int = Field(description="Of the song and of its stems, in Hz.")
    stems: Mapping[str, WebhookStem] | None = Field(
        default=None, description="The stems by name, once the job is completed."
    )
    gain: float | None = Field(
        default=None,
        description="Factor common to all stems that kept them from clipping.",
    )
    engine: Mapping[str, str] | None = Field(
        default=None, description="What computed the stems, and how precisely."
    )
    analysis: Mapping[str, Any] | None = Field(
        default=None, description="Tempo, key and more of the song, where known."
    )
    analysis_error: str | None = Field(
        default=None, description="Why there is no analysis."
    )
    licences: Licences | None = Field(
        default=None,
        description="Of the model that makes the stems, or has made them; for `auto` "
        "once it is known which model that is.",
    )
    cache: str | None = Field(
        default=None, description="`hit`: the stems were there from another job."
    )
    error: str | None = Field(default=None, description="Why the job failed.")
    error_code: str | None = Field(default=None, description="That as a stable word.")
    hf_space_url: str | None = Field(
        default=None, description="The service's public base URL, if it has one."
    )


class JobView(WebhookJob):
    """A job: how far it is, and what it gave or why it failed."""

    disk_bytes: int | None = Field(
        default=None,
        description="The most that the job may take of the server's disks until it has "
        "ended; see `max_job_disk_bytes` in `/config`.",
    )
    stems: Mapping[str, Stem] | None = Field(
        default=None, description="The stems by name, once the job is completed."
    )


class JobSummary(Wire):
    """A job in a list."""

    job_id: str
    status: JobStatus
    filename: str
    created_at: UtcTime
    updated_at: UtcTime
    progress: float = Field(ge=0, le=100)
    expires_at: UtcTime | None = None


class JobList(Wire):
    """The newest jobs, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "count": 1,
                "jobs": [
                    {
                        "job_id": EXAMPLE_JOB_ID,
                        "status": "processing",
                        "filename": "song.mp3",
                        "created_at": EXAMPLE_CREATED,
                        "updated_at": EXAMPLE_UPDATED,
                        "progress": 41.7,
                    }
                ],
                "disk_bytes": 523_000_000,
            }
        }
    )

    count: int = Field(description="How many are in this list.")
    jobs: list[JobSummary]
    disk_bytes: int | None = Field(
        default=None,
        description="The most that all your jobs under way may take of the server's "
        "disks; see `max_client_disk_bytes` in `/config`.",
    )


class Deleted(Wire):
    """A job that is no more."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"success": True, "message": "The job and its files are gone."}
        }
    )

    success: Literal[True] = True
    message: str


class WebhookMessage(Wire):
    """What is sent to the `webhook_url` of a job that has ended."""

    type: str = Field(description="`job.completed`, `job.failed` or `job.cancelled`.")
    timestamp: UtcTime = Field(description="When the job ended.")
    data: WebhookJob = Field(description="The job as it was then.")


class Analysis(Wire):
    """What was found out about a song; more may be there than is named here."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
                "filename": "song.mp3",
                "size_bytes": 4831216,
                "bpm": 124.0,
                "bpm_confidence": 0.97,
                "bpm_alternatives": [{"bpm": 62.0, "share": 0.02}],
                "meter": 4,
                "beats": [0.41, 0.894, 1.378, 1.862],
                "downbeats": [0.41],
                "grid": {
                    "bpm": 124.0,
                    "first_beat_seconds": 0.4102,
                    "first_downbeat_seconds": 0.4102,
                    "drift_ms": 1.2,
                },
                "tempo_segments": [
                    {"start_seconds": 0.41, "end_seconds": 199.7, "bpm": 124.0}
                ],
                "key": "C# minor",
                "camelot": "12A",
                "open_key": "5m",
                "key_confidence": 0.91,
                "key_runner_up": {
                    "key": "E major",
                    "camelot": "12B",
                    "open_key": "5d",
                    "share": 0.05,
                },
                "keys": [
                    {
                        "start_seconds": 0.0,
                        "end_seconds": 201.3,
                        "key": "C# minor",
                        "camelot": "12A",
                        "open_key": "5m",
                    }
                ],
                "tuning_hz": 440.3,
                "sections": [
                    {
                        "start_seconds": 0.41,
                        "end_seconds": 31.38,
                        "label": "A",
                        "energy": 0.62,
                    }
                ],
                "loudness": {
                    "integrated_lufs": -9.1,
                    "short_term_max_lufs": -7.4,
                    "momentary_max_lufs": -6.2,
                    "range_lu": 5.3,
                    "true_peak_dbtp": 0.4,
                    "replaygain_gain_db": -8.9,
                    "replaygain_peak": 0.998,
                },
                "duration": 201.3,
                "sample_rate": 44100,
            }
        }
    )

    success: Literal[True] = True
    filename: str
    size_bytes: int
    bpm: float = Field(description="The tempo that lasts longest, in beats a minute.")
    bpm_confidence: float = Field(
        default=0.0, description="How often such a tempo is right; 0: `reason` says why"
    )
    bpm_alternatives: Sequence[Mapping[str, float]] = Field(
        default=(), description="What else it may be, likeliest first, with shares."
    )
    meter: int = Field(default=4, description="Beats in a bar.")
    beats: Sequence[float] = Field(default=(), description="In seconds.")
    downbeats: Sequence[float] = Field(default=(), description="In seconds.")
    grid: Mapping[str, float] | None = Field(
        default=None, description="That of a song of constant tempo."
    )
    tempo_segments: Sequence[Mapping[str, float]] = Field(
        default=(), description="Where the tempo is which."
    )
    key: str = Field(min_length=1, description="`C# minor`.")
    camelot: str = Field(default="", description="The key on the Camelot wheel.")
    open_key: str = Field(default="", description="The key in Open Key notation.")
    key_confidence: float = Field(default=0.0, description="How often it is right.")
    key_runner_up: Mapping[str, Any] | None = Field(
        default=None, description="The next likely key, with its share."
    )
    keys: Sequence[Mapping[str, Any]] = Field(
        default=(), description="The keys one after the other."
    )
    tuning_hz: float = Field(default=440.0, description="The pitch of A4.")
    reason: str | None = Field(default=None, description="Why a confidence is 0.")
    sections: Sequence[Mapping[str, Any]] = Field(
        default=(), description="Parts that sound alike have the same label."
    )
    loudness: Mapping[str, float | None] = Field(
        default_factory=dict, description="BS.1770, EBU R 128 and ReplayGain 2."
    )
    levels: Mapping[str, Any] = Field(
        default_factory=dict, description="Silence, peak, clipping, DC, mono."
    )
    duration: float = Field(description="Seconds.")
    sample_rate: int = Field(description="Of the file, in Hz.")
    ignored_fields: IgnoredFields = ()


class Model(Wire):
    """A separation model that can be asked for."""

    name: str
    sources: tuple[str, ...] = Field(description="The stems that it makes.")
    sample_rate: int = Field(description="The rate it works at, in Hz.")
    trained_on: str
    licence: str = Field(description="The names of the licences, in a line.")
    licences: Licences | None = Field(
        default=None,
        description="Each licence with its source; null for `auto` where that may be "
        "one of several models.",
    )
    description: str
    default: bool = Field(description="Whether it is used when none is named.")


class ModelList(Wire):
    """The models that this server has."""

    count: int
    models: list[Model]


class Config(Wire):
    """What a client needs to know before it uploads."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "hf_space_url": "",
                "default_model": "hdemucs_high_musdb_plus",
                "formats": ["wav", "flac"],
                "supported_formats": ["mp3", "wav", "flac"],
                "max_upload_bytes": 52428800,
                "max_file_size_mb": 50,
                "max_job_disk_bytes": 64 * 1024**3,
                "max_client_disk_bytes": 128 * 1024**3,
                "retention_seconds": 1800,
            }
        }
    )

    hf_space_url: str = Field(
        description="The service's public base URL, which clients poll; empty if it "
        "has none."
    )
    default_model: str
    formats: tuple[str, ...] = Field(description="File formats that stems can have.")
    supported_formats: tuple[str, ...] = Field(
        description="Usual suffixes of the songs that are taken; what is in a file "
        "counts, not its name."
    )
    max_upload_bytes: int
    max_file_size_mb: float = Field(description="That in MiB.")
    max_job_disk_bytes: int = Field(description="Most disk that a job may need.")
    max_client_disk_bytes: int = Field(
        description="Most disk that a client's jobs under way may need."
    )
    retention_seconds: float
