"""HLS playlists (RFC 8216), parsed from their text only."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin

import m3u8

from serve_app.archive.errors import BrokenMedia, LiveMedia, ProtectedMedia
from serve_app.archive.media_types import is_playlist
from serve_app.errors import RefusedUrl
from serve_app.outbound.partial_file import ByteRange

MAX_PLAYLIST_BYTES = 5_000_000
MAX_SEGMENTS = 10_000
IV_BYTES = 16
_RANGE = re.compile(r"(\d{1,15})(?:@(\d{1,15}))?")
_IV = re.compile(r"0[xX]([0-9a-fA-F]{1,32})")
# Until this version, durations may be rounded to whole seconds (RFC 8216, 4.3.2.1).
_EXACT_VERSION = 3
_ROUNDING_SECONDS = 0.5
# What a segment's audio lasts longer than its video, and the rounding of durations.
_BASE_TOLERANCE_SECONDS = 0.5
_DISCONTINUITY_SECONDS = 0.1

# What the parser raises for tags that are wrong, or in wrong places.
_MALFORMED = (
    *(m3u8.ParseError, ValueError, TypeError, LookupError, ArithmeticError),
    AttributeError,
)

Tags = Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """One quality of a master playlist; `height` 0 is unknown."""

    url: str
    height: int
    bandwidth: int
    audio_group: str | None


@dataclass(frozen=True)
class Rendition:
    """Audio of a group; without `url` it is in the variants themselves."""

    group: str
    url: str | None
    is_default: bool


@dataclass(frozen=True)
class Master:
    """A playlist of variants."""

    variants: tuple[Variant, ...]
    renditions: tuple[Rendition, ...]


@dataclass(frozen=True)
class Encryption:
    """AES-128 in CBC mode: where its key is, and its initialisation vector."""

    key_url: str
    iv: bytes


@dataclass(frozen=True)
class Resource:
    """Bytes that segments are made of."""

    url: str
    range: ByteRange
    encryption: Encryption | None


@dataclass(frozen=True)
class Segment:
    """A segment; `map` has its initialisation section, if it has one."""

    sequence: int
    resource: Resource
    map: Resource | None
    seconds: float
    is_discontinuity: bool


@dataclass(frozen=True)
class MediaPlaylist:
    """A playlist of segments, and how exact the sum of their durations is."""

    segments: tuple[Segment, ...]
    tolerance_seconds: float

    @property
    def seconds(self) -> float:
        """The sum of the segments' durations."""
        return math.fsum(segment.seconds for segment in self.segments)


def parse(body: bytes, url: str) -> Master | MediaPlaylist:
    """Return the playlist that was found at `url`; its URIs become absolute.

    Raises BrokenMedia, LiveMedia, ProtectedMedia and RefusedUrl.
    """
    if not is_playlist(body):
        raise BrokenMedia("The playlist does not begin with #EXTM3U.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise BrokenMedia("The playlist is not UTF-8.") from err
    if (count := text.count("#EXTINF")) > MAX_SEGMENTS:
        raise BrokenMedia(
            f"The playlist has {count} segments; at most {MAX_SEGMENTS} are allowed."
        )
    try:
        tags = m3u8.parse(text, custom_tags_parser=_note_keys)
        return _master(tags, url) if tags["is_variant"] else _media(tags, url)
    except _MALFORMED as err:
        raise BrokenMedia(f"The playlist is malformed: {err!r}.") from err


def best(master: Master, max_height: int) -> Variant:
    """Return the highest variant up to `max_height`, or the lowest if all are higher.

    0 is no limit; among variants of one height the one with most bits wins.
    """
    heights = {variant.height for variant in master.variants if variant.height}
    fitting = [height for height in heights if not max_height or height <= max_height]
    height = max(fitting) if fitting else min(heights, default=0)
    candidates = [each for each in master.variants if each.height == height]
    return max(candidates, key=lambda variant: variant.bandwidth)


def audio_url(master: Master, variant: Variant) -> str | None:
    """Return the playlist of a variant's separate audio, or None if it has none."""
    group = [each for each in master.renditions if each.group == variant.audio_group]
    chosen = next((each for each in group if each.is_default), None)
    chosen = chosen or next(iter(group), None)
    return None if chosen is None else chosen.url


def _note_keys(line: str, _number: int, data: dict[str, Any], state: Tags) -> bool:
    """Note which key each map has; the parser does not."""
    if line.startswith("#EXT-X-MAP"):
        data.setdefault("map_keys", []).append(state["current_key"])
    if line.startswith("#EXT-X-KEY"):
        # The parser searches this list for each key, which takes its square in time.
        data["keys"].clear()
    return False


def _master(tags: Tags, url: str) -> Master:
    variants = []
    for found in tags["playlists"]:
        stated = found["stream_info"]
        _, _, height = stated.get("resolution", "0x0").lower().partition("x")
        variants.append(
            Variant(
                _joined(url, found["uri"]),
                int(height),
                stated.get("bandwidth", 0),
                stated.get("audio"),
            )
        )
    if not variants:
        raise BrokenMedia("The playlist has no variants.")
    renditions = tuple(
        Rendition(
            media.get("group_id", ""),
            _joined(url, media["uri"]) if media.get("uri") else None,
            media.get("default", "").upper() == "YES",
        )
        for media in tags["media"]
        if media.get("type") == "AUDIO"
    )
    return Master(tuple(variants), renditions)


def _media(tags: Tags, url: str) -> MediaPlaylist:
    found = [segment for segment in tags["segments"] if "uri" in segment]
    if not tags["is_endlist"] and tags["playlist_type"] != "vod":
        raise LiveMedia(
            "The playlist has no end yet (no #EXT-X-ENDLIST). Live streams are not "
            "archived: ask again when it has ended."
        )
    if not found:
        raise BrokenMedia("The playlist has no segments.")
    segments = _segments(tags, url, found)
    discontinuities = sum(segment.is_discontinuity for segment in segments)
    tolerance = _BASE_TOLERANCE_SECONDS + _DISCONTINUITY_SECONDS * discontinuities
    if int(tags.get("version", 1)) < _EXACT_VERSION:
        tolerance += _ROUNDING_SECONDS * sum(
            segment.seconds.is_integer() for segment in segments
        )
    return MediaPlaylist(segments, tolerance)


def _segments(tags: Tags, url: str, found: Sequence[Tags]) -> tuple[Segment, ...]:
    maps = _maps(tags, url)
    segments: list[Segment] = []
    for sequence, each in enumerate(found, tags["media_sequence"]):
        if each.get("gap_tag"):
            raise BrokenMedia(f"The source lacks segment {sequence} (#EXT-X-GAP).")
        seconds = float(each["duration"])
        if not math.isfinite(seconds) or seconds < 0:
            raise BrokenMedia(f"Segment {sequence} has no valid duration.")
        segment_url = _joined(url, each["uri"])
        before = segments[-1].resource if segments else None
        bytes_range = _range(each.get("byterange"), segment_url, before)
        encryption = _encryption(each.get("key"), url, sequence)
        map_tags = each.get("init_section")
        segments.append(
            Segment(
                sequence,
                Resource(segment_url, bytes_range, encryption),
                None if map_tags is None else maps[id(map_tags)],
                seconds,
                bool(each["discontinuity"]) and bool(segments),
            )
        )
    return tuple(segments)


def _maps(tags: Tags, url: str) -> dict[int, Resource]:
    """Return the initialisation sections, by the identity of their tag."""
    maps = {}
    for found, key in zip(tags["segment_map"], tags.get("map_keys", ()), strict=True):
        text = found.get("byterange")
        # Here the offset is 0 by default (RFC 8216, 4.3.2.5).
        whole = text if text is None or "@" in text else f"{text}@0"
        map_url = _joined(url, found["uri"])
        if key and key.get("method") != "NONE" and "iv" not in key:
            raise BrokenMedia("An initialisation section is encrypted without an IV.")
        maps[id(found)] = Resource(
            map_url, _range(whole, map_url, None), _encryption(key, url, 0)
        )
    return maps


def _range(text: str | None, url: str, before: Resource | None) -> ByteRange:
    """Return a byte range; without an offset it follows the one before."""
    if text is None:
        return ByteRange()
    match = _RANGE.fullmatch(text.strip())
    if match is None or not int(match[1]):
        raise BrokenMedia(f"{text[:40]!r} is not a valid byte range.")
    if match[2] is not None:
        return ByteRange(int(match[2]), int(match[1]))
    length = before.range.length_bytes if before is not None else None
    if before is None or length is None or before.url != url:
        raise BrokenMedia(f"The byte range {text[:40]!r} has no offset.")
    return ByteRange(before.range.start + length, int(match[1]))


def _encryption(key: Tags | None, url: str, sequence: int) -> Encryption | None:
    if not key or key.get("method") == "NONE":
        return None
    method, form = key.get("method"), key.get("keyformat", "identity")
    if method != "AES-128" or form != "identity":
        raise ProtectedMedia(
            f"The media is protected ({method}, keys of {form}). Protected media is "
            "not fetched."
        )
    iv = key.get("iv", f"0x{sequence:x}")
    match = _IV.fullmatch(iv)
    if match is None:
        raise BrokenMedia(f"{iv[:40]!r} is not a valid initialisation vector.")
    vector = int(match[1], 16).to_bytes(IV_BYTES, "big")
    return Encryption(_joined(url, key["uri"]), vector)


def _joined(base: str, uri: str) -> str:
    """Return an absolute URL; characters that no URL has are percent-encoded."""
    try:
        return quote(urljoin(base, uri), safe="!#$%&'()*+,/:;=?@[]~")
    except ValueError as err:
        raise RefusedUrl(f"The playlist has the invalid URL {uri[:80]!r}.") from err
