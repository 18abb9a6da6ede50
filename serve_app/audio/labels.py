"""What a file says beside its sound: tags, a cover, the encoder's delay."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.stream import Disposition

from serve_app.audio.decode import opened_container
from serve_app.audio.tracks import song_track
from serve_app.errors import UnreadableAudio

_COVER_BYTES = 8 * 2**20
_VALUE_CHARACTERS = 4_096
_PICTURES = {"mjpeg": "image/jpeg", "png": "image/png"}
# iTunes' tag of an m4a: hexadecimal numbers, the second of which is the delay.
_ITUNES_GAPLESS = "itunsmpb"


@dataclass(frozen=True)
class Labels:
    """`values` by FFmpeg's names in lower case; `cover` as its media type and bytes.

    `lead_samples`: how many samples come before the song in an mp4, by its edit list
    or by iTunes' tag.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    cover: tuple[str, bytes] | None = None
    lead_samples: int = 0


def read(path: Path) -> Labels:
    """Read the labels of a song's file; UnreadableAudio where it is none.

    Of values only the first 4,096 characters are kept, and no cover over 8 MiB.
    """
    with opened_container(path) as container:
        stream = song_track(container)
        if stream is None:
            raise UnreadableAudio("There is no sound in this file.")
        # Ogg has them with the stream, all others with the container.
        found = {**container.metadata, **stream.metadata}
        values = {
            name.lower(): value[:_VALUE_CHARACTERS] for name, value in found.items()
        }
        return Labels(values, _cover(container), _lead(container, stream, values))


def _cover(container: av.container.InputContainer) -> tuple[str, bytes] | None:
    for stream in container.streams.video:
        media_type = _PICTURES.get(stream.codec_context.name)
        if media_type and stream.disposition & Disposition.attached_pic:
            packet = next(container.demux(stream), None)
            if packet is not None and 0 < packet.size <= _COVER_BYTES:
                return media_type, bytes(packet)
    return None


def _lead(
    container: av.container.InputContainer,
    stream: av.AudioStream,
    values: Mapping[str, str],
) -> int:
    if "mp4" not in container.format.name:
        return 0
    fields = values.get(_ITUNES_GAPLESS, "").split()
    if len(fields) > 1:
        try:
            return int(fields[1], 16)
        except ValueError:
            pass
    container.seek(0)
    first = next(container.demux(stream), None)
    if first is None or first.pts is None or first.pts > 0:
        return 0
    return round(-first.pts * first.time_base * stream.sample_rate)
