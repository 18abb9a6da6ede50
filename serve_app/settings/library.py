"""The section of the system `library`."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from serve_app.settings.section import Section, either, split

# What users upload. Files of the last line have no type in the list of the original.
MEDIA_TYPES = (
    *("audio/wav", "audio/x-wav", "audio/wave", "audio/mpeg", "audio/mp3"),
    *("audio/flac", "audio/ogg"),
    *("audio/aiff", "audio/x-aiff", "audio/mp4", "audio/x-m4a"),
)


class LibrarySettings(Section):
    """The library's queue, bucket, receiver and limits."""

    library_queue_url: str = Field(
        default="",
        validation_alias=either("STEMSERVE_LIBRARY_QUEUE_URL", "SQS_QUEUE_URL"),
        description="URL of the SQS queue with the library's tasks. The library runs "
        "if it is set, or if a Serve config names it.",
    )
    library_dead_letter_url: str = Field(
        default="",
        validation_alias=either("STEMSERVE_LIBRARY_DEAD_LETTER_URL", "SQS_DLQ_URL"),
        description="URL of the SQS queue for tasks that failed and messages that "
        "can't be read. Default: only `stemserve library dead-letters` lists them.",
    )
    library_bucket: str = Field(
        default="",
        validation_alias=either("STEMSERVE_LIBRARY_BUCKET", "S3_BUCKET_NAME"),
        description="Bucket of the library's files: its name, or "
        "`s3://bucket?endpoint_url=…&region=…`. Default: the directory "
        "data_dir/library.",
    )
    library_region: str = Field(
        default="ap-northeast-2",
        validation_alias=either("STEMSERVE_LIBRARY_REGION", "AWS_REGION"),
        description="AWS region of the library's queue and bucket.",
    )
    library_webhook_url: str = Field(
        default="",
        validation_alias=either("STEMSERVE_LIBRARY_WEBHOOK_URL", "WEBHOOK_URL"),
        description="Base URL of the library's webhooks, such as "
        "`https://example.com/webhook`; it may be http and private.",
    )
    library_max_file_mb: float = Field(
        default=100.0,
        gt=0,
        validation_alias=either("STEMSERVE_LIBRARY_MAX_FILE_MB", "MAX_FILE_SIZE_MB"),
        description="Maximum size of a file to analyse, in MiB.",
    )
    library_peaks: int = Field(
        default=1024,
        ge=1,
        le=1_000_000,
        validation_alias=either("STEMSERVE_LIBRARY_PEAKS", "DEFAULT_WAVEFORM_PEAKS"),
        description="Number of peaks of a waveform if the task names none.",
    )
    library_media_types: Annotated[tuple[str, ...], NoDecode] = Field(
        default=MEDIA_TYPES,
        validation_alias=either("STEMSERVE_LIBRARY_MEDIA_TYPES", "ALLOWED_MIME_TYPES"),
        description="Media types of the files that are analysed, comma-separated; "
        "each file's type is that of its content.",
    )
    library_dedup: Literal["server", "self"] = Field(
        default="server",
        validation_alias=either("STEMSERVE_LIBRARY_DEDUP", "LIBRARY_DEDUP"),
        description="Who finds duplicates: the `server` that receives `/hash-check`, "
        "or the library, `self`, which tells of them in `/completion`.",
    )
    library_mix: Literal["mono", "stereo"] = Field(
        default="mono", description="Channels of the library's mixes."
    )
    library_audiowaveform: bool = Field(
        default=False,
        description="Also store each waveform as JSON of audiowaveform (version 2), "
        "beside the other with the suffix `.dat.json`.",
    )
    library_max_queued: int = Field(
        default=10_000,
        ge=1,
        description="Maximum number of waiting tasks of each of the library's kinds: "
        "while it is reached, no messages are received.",
    )

    @field_validator("library_media_types", mode="before")
    @classmethod
    def _split_types(cls, value: Any) -> Any:
        return split(value, ",")

    @property
    def library_bucket_address(self) -> str:
        """The address of the bucket, if there is one."""
        place = self.library_bucket
        return place if "://" in place else f"s3://{place}"

    @property
    def library_max_file_bytes(self) -> int:
        """The maximum size of a file to analyse."""
        return int(self.library_max_file_mb * 1024**2)
