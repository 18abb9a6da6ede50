"""The media types of audio files, by their content."""

from collections.abc import Mapping

# All names in use: those of RFC 2361, 3003, 3533, 9639 and 4337, and older ones.
_TYPES: Mapping[str, tuple[str, ...]] = {
    "aac": ("audio/aac", "audio/x-aac", "audio/aacp"),
    "ac3": ("audio/ac3",),
    "aiff": ("audio/aiff", "audio/x-aiff"),
    "amr": ("audio/amr",),
    "ape": ("audio/ape", "audio/x-ape"),
    "asf": ("audio/x-ms-wma",),
    "au": ("audio/basic",),
    "caf": ("audio/x-caf",),
    "eac3": ("audio/eac3",),
    "flac": ("audio/flac", "audio/x-flac"),
    "matroska": ("audio/webm", "audio/x-matroska"),
    "mov": ("audio/mp4", "audio/m4a", "audio/x-m4a"),
    "mp3": ("audio/mpeg", "audio/mp3", "audio/x-mpeg"),
    "ogg": ("audio/ogg", "audio/opus", "audio/vorbis", "audio/x-ogg"),
    "w64": ("audio/wav", "audio/x-wav", "audio/wave"),
    "wav": ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    "wv": ("audio/x-wavpack",),
}


def of(container: str) -> frozenset[str]:
    """Return the names of the media type of a container, as FFmpeg names it.

    There are none for one without a known type.
    """
    return frozenset(_TYPES.get(container, ()))
