"""The choice of a file's audio track."""

from typing import Any

from av import AudioStream
from av.container import InputContainer
from av.stream import Disposition

# Commentaries, tracks for hearing- or visually-impaired people, dependent tracks.
_SECONDARY = (
    Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.dependent
)


def song_track(container: InputContainer) -> AudioStream | None:
    """Return the first track that can be decoded, or None.

    Tracks marked as default (Matroska) or enabled (mp4) come first, and among equals
    commentaries last; otherwise the file's order counts. Bit rate and number of
    channels don't count: a stem file's first track is its mix.
    """
    tracks = [track for track in container.streams.audio if is_decodable(track)]
    return min(tracks, key=_rank, default=None)


def is_decodable(track: AudioStream) -> bool:
    """Whether there is a decoder for a track."""
    context: Any = track.codec_context
    return context is not None


def _rank(track: AudioStream) -> tuple[bool, bool, int]:
    is_default = bool(track.disposition & Disposition.default)
    return (not is_default, bool(track.disposition & _SECONDARY), track.index)
