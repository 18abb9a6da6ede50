"""Request and response models of songs, stems and their analysis."""

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
# More stems than any model makes.
_MOST_GAINS = 32
Gain = Annotated[float, Field(strict=True, ge=0, le=2, allow_inf_nan=False)]
_LICENCES = asdict(licences.BY_MODEL["hdemucs_high_musdb_plus"])


class JobStatus(StrEnum):
    """The status of a job, as clients see it."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Accepted(Wire):
    """The response to an accepted song."""

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
    job_id: str = Field(description="The id for `/job/{job_id}`.")
    status: Literal[JobStatus.PENDING] = JobStatus.PENDING
    message: str
    filename: str
    size_bytes: int
    duration: float = Field(description="Length of the song in seconds.")
    model: str
    stems: tuple[str, ...] = Field(description="The stems that will be made.")
    format: str = Field(description="The file format of the stems.")
    status_url: str = Field(description="The absolute URL of the job, to poll.")
    hf_space_url: str = Field(
        default="", description="The service's public base URL; empty if it has none."
    )
    cache: str | None = Field(
        default=None,
        description="`hit`: the stems are ready, copied from an earlier job.",
    )
    ignored_fields: IgnoredFields = ()


def _title(name: Any) -> Any:
    return titles.clean(name or "") if isinstance(name, str | None) else name


class NewUpload(BaseModel):
    """A file that a client wants to upload directly to the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filename: Annotated[str, BeforeValidator(_title)] = Field(
        default=titles.DEFAULT,
        description="The file name of the song; any text.",
        examples=["song.flac"],
    )
    size_bytes: int = Field(ge=1, description="The exact size of the file.")


class UploadPart(Wire):
    """A part of an upload, and the URL to PUT it to."""

    number: int
    url: str


class DirectUpload(Wire):
    """A started upload, and the URLs of its parts."""

    upload_id: str = Field(description="The id to send to `POST /separate`.")
    part_bytes: int = Field(description="The size of every part but the last.")
    parts: list[UploadPart]
    expires_at: UtcTime = Field(description="When the URLs expire.")


class JobOptions(Wire):
    """The options that the client chose."""

    model: str
    stems: tuple[str, ...]
    format: str
    priority: str
    bpm_range: tuple[float, float] | None = Field(
        default=None,
        description="The range of the song's tempo, if the client gave one.",
    )


class WebhookStem(Wire):
    """A finished stem in a webhook."""

    filename: str
    size: int = Field(description="The size in bytes.")
    download_url: str | None = Field(
        description="The absolute URL of the stem; null if the operator has not set a "
        "public URL of the service."
    )
    media_type: str
    sha256: str = Field(description="The hash of the bytes; also the ETag.")


class Stem(WebhookStem):
    """A finished stem."""

    download_url: str = Field(description="The absolute URL of the stem.")


class NewMix(BaseModel):
    """A mix of stems to make."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gains: Mapping[str, Gain] = Field(
        max_length=_MOST_GAINS,
        description="The gain of each stem that is heard: 0 to 2, linear.",
        examples=[{"drums": 1.0, "vocals": 0.5}],
    )
    format: str = Field(
        default="wav", description="The file format, one of those of stems."
    )


class MixView(Wire):
    """A finished mix."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "download_url": f"{EXAMPLE_JOB_URL}/mix/{'a' * 32}",
                "filename": "song (drums + vocals).wav",
                "size_bytes": 35509364,
                "format": "wav",
                "gain": 1.0,
            }
        }
    )

    download_url: str = Field(description="The absolute URL of the mix.")
    filename: str
    size_bytes: int
    format: str
    gain: float = Field(
        description="The factor of the whole mix that prevents clipping."
    )


class Licence(Wire):
    """A licence, and its consequences for the model."""

    name: str = Field(description="SPDX identifier, or `LicenseRef-…` if it has none.")
    summary: str
    url: str = Field(description="The source: a URL, or a file of the repository.")


class Licences(Wire):
    """The licences of a model's code, of its weights and of its training data."""

    code: Licence
    weights: Licence
    training_data: Licence


class WebhookJob(Wire):
    """A job in a webhook."""

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
    progress: float = Field(ge=0, le=100, description="The progress in per cent.")
    filename: str = Field(description="The file name of the uploaded song.")
    created_at: UtcTime
    updated_at: UtcTime
    expires_at: UtcTime | None = Field(
        default=None, description="When the job and its files are deleted."
    )
    stage: str | None = Field(default=None, description="The stage of a running job.")
    eta_seconds: float | None = Field(
        default=None, description="The estimated remaining time of a running job."
    )
    model: str
    format: str
    options: JobOptions
    duration: float = Field(description="Length of the song in seconds.")
    sample_rate: int = Field(description="The rate of the song and its stems, in Hz.")
    stems: Mapping[str, WebhookStem] | None = Field(
        default=None, description="The stems by name, once the job is completed."
    )
    gain: float | None = Field(
        default=None,
        description="The factor of all stems that prevents clipping.",
    )
    engine: Mapping[str, str] | None = Field(
        default=None,
        description="The runtime, precision and device that computed the stems.",
    )
    analysis: Mapping[str, Any] | None = Field(
        default=None, description="The song's tempo, key and more, once known."
    )
    analysis_error: str | None = Field(
        default=None, description="Why the analysis failed."
    )
    licences: Licences | None = Field(
        default=None,
        description="The licences of the job's model; for `auto`, once the model is "
        "known.",
    )
    cache: str | None = Field(
        default=None, description="`hit`: the stems were copied from an earlier job."
    )
    error: str | None = Field(default=None, description="Why the job failed.")
    error_code: str | None = Field(
        default=None, description="The error as a stable code."
    )
    hf_space_url: str | None = Field(
        default=None, description="The service's public base URL, if it has one."
    )


class JobView(WebhookJob):
    """A job: its progress, and its stems or the reason of its failure."""

    disk_bytes: int | None = Field(
        default=None,
        description="The most disk space that the job may need until it has ended; see "
        "`max_job_disk_bytes` in `/config`.",
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
    """The client's jobs, newest first."""

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

    count: int = Field(description="The number of jobs in this list.")
    jobs: list[JobSummary]
    disk_bytes: int | None = Field(
        default=None,
        description="The most disk space that all your unfinished jobs may need; see "
        "`max_client_disk_bytes` in `/config`.",
    )


class Deleted(Wire):
    """The response to a deletion."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
                "message": "The job and its files are deleted.",
            }
        }
    )

    success: Literal[True] = True
    message: str


class WebhookMessage(Wire):
    """The message to the `webhook_url` of a job that has ended."""

    type: str = Field(description="`job.completed`, `job.failed` or `job.cancelled`.")
    timestamp: UtcTime = Field(description="When the job ended.")
    data: WebhookJob = Field(description="The job at that time.")


class Analysis(Wire):
    """The analysis of a song; it may have more fields than are listed here."""

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
    bpm: float = Field(description="The tempo that lasts longest, in beats per minute.")
    bpm_confidence: float = Field(
        default=0.0,
        description="The probability that the tempo is right; if 0, `reason` says why.",
    )
    bpm_alternatives: Sequence[Mapping[str, float]] = Field(
        default=(), description="Other possible tempos with shares, likeliest first."
    )
    meter: int = Field(default=4, description="The number of beats in a bar.")
    beats: Sequence[float] = Field(default=(), description="The beats, in seconds.")
    downbeats: Sequence[float] = Field(
        default=(), description="The first beats of bars, in seconds."
    )
    grid: Mapping[str, float] | None = Field(
        default=None, description="The beat grid of a song of constant tempo."
    )
    tempo_segments: Sequence[Mapping[str, float]] = Field(
        default=(), description="The stretches of constant tempo, in order."
    )
    key: str = Field(min_length=1, description="The key, as in `C# minor`.")
    camelot: str = Field(default="", description="The key on the Camelot wheel.")
    open_key: str = Field(default="", description="The key in Open Key notation.")
    key_confidence: float = Field(
        default=0.0, description="The probability that the key is right."
    )
    key_runner_up: Mapping[str, Any] | None = Field(
        default=None, description="The second likeliest key, with its share."
    )
    keys: Sequence[Mapping[str, Any]] = Field(
        default=(), description="The keys of the song, in order."
    )
    tuning_hz: float = Field(default=440.0, description="The frequency of A4, in Hz.")
    reason: str | None = Field(default=None, description="Why a confidence is 0.")
    sections: Sequence[Mapping[str, Any]] = Field(
        default=(), description="The sections; similar ones have the same label."
    )
    loudness: Mapping[str, float | None] = Field(
        default_factory=dict,
        description="The loudness by BS.1770, EBU R 128 and ReplayGain 2.",
    )
    levels: Mapping[str, Any] = Field(
        default_factory=dict, description="Silence, peak, clipping, DC offset and mono."
    )
    duration: float = Field(description="The length of the song, in seconds.")
    sample_rate: int = Field(description="The sample rate of the file, in Hz.")
    ignored_fields: IgnoredFields = ()


class Model(Wire):
    """A separation model that clients can choose."""

    name: str
    sources: tuple[str, ...] = Field(description="The stems that the model makes.")
    sample_rate: int = Field(description="The model's sample rate, in Hz.")
    trained_on: str
    licence: str = Field(description="The names of the licences, in one line.")
    licences: Licences | None = Field(
        default=None,
        description="Each licence with its source; null for `auto` if that may be one "
        "of several models.",
    )
    description: str
    default: bool = Field(
        description="Whether it is used for requests that name no model."
    )


class ModelList(Wire):
    """The models of this server."""

    count: int
    models: list[Model]


class Config(Wire):
    """The limits, formats and default model of this server."""

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
    formats: tuple[str, ...] = Field(description="The file formats of stems.")
    supported_formats: tuple[str, ...] = Field(
        description="Common suffixes of supported songs. The content of a file counts, "
        "not its name."
    )
    max_upload_bytes: int
    max_file_size_mb: float = Field(description="`max_upload_bytes` in MiB.")
    max_job_disk_bytes: int = Field(
        description="The most disk space that a job may need."
    )
    max_client_disk_bytes: int = Field(
        description="The most disk space that a client's unfinished jobs may need."
    )
    retention_seconds: float
