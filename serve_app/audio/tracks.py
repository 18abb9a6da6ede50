"""Which of a file's audio tracks is the song."""

from typing import Any

from av import AudioStream
from av.container import InputContainer
from av.stream import Disposition

# Comments, versions for those who hear or see less, and parts of other tracks.
_SECONDARY = (
    Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.dependent
)


def song_track(container: InputContainer) -> AudioStream | None:
    """Return the first track that can be decoded, None if there is none.

    In the order of the file, but tracks that it marks as default (Matroska) or enabled
    (mp4) come first, and of these commentaries last. Neither bit rate nor the number of
    channels counts: a stem file's first track is its mix.
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
