"""Read a file's metadata: tags, cover, encoder delay."""

import errno
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

import av
from av.stream import Disposition

from serve_app.audio.decode import opened_container
from serve_app.audio.tracks import song_track
from serve_app.errors import UnreadableAudio

_COVER_BYTES = 8 * 2**20
_VALUE_CHARACTERS = 4_096
# The cover is searched for in so many first packets.
_PACKETS = 64
# FFmpeg's comment on the front cover of an ID3 or FLAC file.
_FRONT = "Cover (front)"
_PICTURES = {"mjpeg": "image/jpeg", "png": "image/png"}
# The tags that stems inherit from their song, with the names used by FFmpeg and others.
_CARRIED: Mapping[str, tuple[str, ...]] = {
    "title": ("title",),
    "artist": ("artist",),
    "album": ("album",),
    "album_artist": ("album_artist", "albumartist"),
    "genre": ("genre",),
    "date": ("date", "year", "tyer"),
    "track": ("track", "tracknumber"),
    "comment": ("comment", "description"),
}
# iTunes' tag in an m4a: hexadecimal numbers, of which the second is the delay.
_ITUNES_GAPLESS = "itunsmpb"


@dataclass(frozen=True)
class Labels:
    """Tags by FFmpeg's names in lower case; the cover as media type and bytes.

    `lead_samples` is the number of samples before the song in an mp4, from its edit
    list or iTunes' tag.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    cover: tuple[str, bytes] | None = None
    lead_samples: int = 0

    @property
    def carried(self) -> Mapping[str, str]:
        """The tags that stems inherit: `title`, `artist`, `album` and so on."""
        found = {
            name: next((self.values[key] for key in keys if key in self.values), "")
            for name, keys in _CARRIED.items()
        }
        return {name: value for name, value in found.items() if value}


def fingerprint(path: Path) -> str:
    """Return a hash of the tags and the cover that stems inherit from a file.

    A file without readable tags has the hash of empty tags.
    """
    try:
        found = read(path)
    except UnreadableAudio:
        found = Labels()
    digest = sha256(json.dumps(sorted(found.carried.items())).encode())
    if found.cover is not None:
        digest.update(found.cover[1])
    return digest.hexdigest()


def read(path: Path) -> Labels:
    """Read the labels of a song's file; UnreadableAudio if it can't be read.

    Values are cut to 4,096 characters, and covers over 8 MiB are ignored.
    """
    try:
        return _read(path)
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
        # A wrong length in the header makes FFmpeg seek outside the file. The audio is
        # still read (`chunks`), but the labels can't be found.
        return Labels()


def _read(path: Path) -> Labels:
    with opened_container(path) as container:
        stream = song_track(container)
        if stream is None:
            raise UnreadableAudio("The file has no audio track.")
        # Ogg stores tags with the stream, all others with the container.
        found = {**container.metadata, **stream.metadata}
        values = {
            name.lower(): value[:_VALUE_CHARACTERS] for name, value in found.items()
        }
        try:
            cover, lead = _first_packets(container, stream)
        except av.FFmpegError as err:
            raise UnreadableAudio("The audio in this file can't be read.") from err
        stated = itunes_delay(values.get(_ITUNES_GAPLESS, ""))
        is_mp4 = "mp4" in container.format.name
        return Labels(values, cover, (stated or lead) if is_mp4 else 0)


def _first_packets(
    container: av.container.InputContainer, song: av.AudioStream
) -> tuple[tuple[str, bytes] | None, int]:
    """Return the cover, and the number of samples before the song's time 0."""
    pictures = {
        stream.index: _PICTURES[stream.codec_context.name]
        for stream in container.streams.video
        if stream.disposition & Disposition.attached_pic
        and stream.codec_context.name in _PICTURES
    }
    fronts = {
        stream.index
        for stream in container.streams.video
        if stream.metadata.get("comment") == _FRONT
    }
    cover: tuple[str, bytes] | None = None
    is_front = False
    # Pictures come before all audio.
    for packet in islice(container.demux(), _PACKETS):
        index = packet.stream.index
        is_better = cover is None or (index in fronts and not is_front)
        if index in pictures and is_better and 0 < packet.size <= _COVER_BYTES:
            cover, is_front = (pictures[index], bytes(packet)), index in fronts
        if index == song.index:
            start = min(0, packet.pts or 0)
            return cover, round(-start * packet.time_base * song.sample_rate)
    return cover, 0


def itunes_delay(tag: str) -> int:
    """Return the delay in samples that an `iTunSMPB` tag states; 0 if invalid."""
    fields = re.match(r"\s*[0-9A-Fa-f]+\s+([0-9A-Fa-f]{1,8})\b", tag)
    return 0 if fields is None else int(fields[1], 16)
