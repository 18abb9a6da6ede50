"""What OpenAPI says of the bodies that bring a song and its options."""

from collections.abc import Sequence
from typing import Any

from serve_app.api.multipart import FILE_FIELD
from serve_app.api.problems import documented
from serve_app.errors import (
    AudioTooLong,
    BadRequest,
    BodyTooSlow,
    Busy,
    InvalidField,
    KeyReused,
    NoDirectUploads,
    QueueFull,
    QuotaExceeded,
    RefusedUrl,
    StorageFull,
    TooManyRequests,
    Unavailable,
    UnreachableUrl,
    UnreadableAudio,
    UploadBusy,
    UploadIncomplete,
    UploadNotFound,
    UploadTooLarge,
)
from serve_app.stems.http import json_body
from serve_app.stems.options import Option

_FILE = {
    "type": "string",
    "format": "binary",
    "description": "The song: mp3, wav, flac, m4a, ogg, opus, aiff, or a video with "
    "sound.",
}

# What can go wrong when a song is sent, for the description of the API.
SONG_RESPONSES = documented(
    BadRequest,
    UploadTooLarge,
    AudioTooLong,
    InvalidField,
    UnreadableAudio,
    RefusedUrl,
    UnreachableUrl,
    UploadNotFound,
    UploadIncomplete,
    UploadBusy,
    NoDirectUploads,
    KeyReused,
    QueueFull,
    QuotaExceeded,
    BodyTooSlow,
    TooManyRequests,
    Unavailable,
    Busy,
    StorageFull,
)


def song_body(options: Sequence[Option]) -> dict[str, Any]:
    """Describe a song with `options`, as a form or as JSON with a reference."""
    form = {
        "type": "object",
        "required": [FILE_FIELD],
        "additionalProperties": True,
        "properties": {FILE_FIELD: _FILE, **_properties(options)},
    }
    by_reference = {
        "type": "object",
        "additionalProperties": False,
        "properties": _properties((*json_body.REFERENCE, *options)),
    }
    content = {
        "multipart/form-data": {"schema": form},
        json_body.MEDIA_TYPE: {
            "schema": by_reference,
            # Else "Try it out" sends each field, `upload_id` beside `url`.
            "example": {json_body.URL.name: json_body.URL.example},
        },
    }
    return {"requestBody": {"required": True, "content": content}}


def _properties(options: Sequence[Option]) -> dict[str, Any]:
    return {option.name: option.schema for option in options}
