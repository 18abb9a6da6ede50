"""Gaps: bytes between a song's frames that are neither frames nor known tags.

Programs that save internet radio, join files or write invalid tags leave such junk. A
song with junk is complete: its frames are read as if the gap did not exist. But a disk
or a download that lost data leaves gaps too. Any of these facts proves damage:

1. The tag of an mp3 states more frames. If it states the number that was found, no
   frame was replaced or lost: facts 2, 4 and 5 don't count.
2. All frames have one size, and the gap is as long as a whole number of them: data that
   overwrites frames does not move the frames behind it.
3. The frame before the gap, or one after it, does not decode correctly: damage does not
   begin and end at frame boundaries, and in layer III a frame's data begins in the
   frames before it.
4. The gap is not recognised as text or a tag, and may be the rest of a frame: when
   bytes are lost from MPEG frames that no tag counts, less than a frame remains. AAC
   frames have no constant size, and errors in them are not always detected.
5. The gap begins with a frame that the next one cuts off: recordings were joined, or
   bytes lost, in the middle of a frame.

Without any of them the gap is junk. A song with a harmless gap may be refused: its
sender sees that and repairs it with one command, while damage that is taken for junk
would go unnoticed. If frames of varying size are replaced exactly from boundary to
boundary, and no tag counts them, that is not detected: no known fault does that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

# First bytes of tags, and of the header that the audio may have been wrapped in.
_NAMES = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"RIFF")
_MPEG = ("mp1", "mp2", "mp3")
_PRINTABLE = bytes([*b"\t\r\n", *range(32, 127)])


@dataclass(frozen=True)
class Gap:
    """A gap between two frames; `seconds` is its place in the song, None if unknown."""

    size_bytes: int
    seconds: float | None
    has_cut_frame: bool = False
    has_broken_neighbour: bool = False
    is_text: bool = False


@dataclass(frozen=True)
class FrameCount:
    """The number of frames found and stated (by a tag), and their sizes in bytes."""

    frames: int
    stated: int | None
    total_bytes: int
    smallest: int
    largest: int
    slot_bytes: int = 1
    codec: str = ""


def is_text(junk: bytes) -> bool:
    """Whether the first bytes of a gap are text or a tag, unlike any audio.

    Some other bytes are allowed: lengths, padding, letters of other alphabets.
    """
    junk = junk.rstrip(b"\0")
    others = junk.translate(None, _PRINTABLE)
    is_readable = len(others) < 0.4 * len(junk)
    is_clean = len(others.replace(b"\0", b"")) < 0.1 * len(junk)
    return junk.startswith(_NAMES) or (is_readable and is_clean)


def damage(count: FrameCount, gaps: Sequence[Gap]) -> str | None:
    """Return an error message for the first gap that is damage, or None."""
    if not gaps:
        return None
    if count.stated is not None and count.frames < count.stated:
        missing = count.stated - count.frames
        return _message(gaps[0], f"{missing} of its {count.stated} frames are missing")
    for gap in gaps:
        if reason := _reason(count, gap):
            return _message(gap, reason)
    return None


def _reason(count: FrameCount, gap: Gap) -> str | None:
    if gap.has_cut_frame and count.frames != count.stated:
        return "they begin with an incomplete frame, as if bytes were lost there"
    if gap.has_broken_neighbour:
        return "the frames next to them can't be decoded"
    if not gap.is_text and gap.size_bytes < _least_bytes(count):
        return "they may be the rest of a frame that lost bytes"
    replaced = _checked_frames(count, gap.size_bytes)
    if replaced and count.frames != count.stated:
        frames = "a frame" if replaced == 1 else f"{replaced} frames"
        return f"they are exactly as long as {frames}, so they may replace audio"
    return None


def _least_bytes(count: FrameCount) -> float:
    """Return the least size in bytes at which a gap without text may be junk."""
    if count.codec == "aac":
        return inf
    is_counted = count.frames == count.stated
    return 0 if is_counted or count.codec not in _MPEG else count.largest


def _checked_frames(count: FrameCount, size_bytes: int) -> int:
    """Return the number of constant-size frames that fill a gap exactly, or 0."""
    if not count.frames or count.largest - count.smallest > count.slot_bytes:
        return 0
    mean = count.total_bytes / count.frames
    frames = round(size_bytes / mean)
    # Sizes are rounded to slots, and so is their sum.
    return frames if abs(size_bytes - frames * mean) < 1.5 * count.slot_bytes else 0


def _message(gap: Gap, reason: str) -> str:
    where = "" if gap.seconds is None else f" at about {gap.seconds:.1f} s"
    return (
        f"The audio is damaged{where}: {gap.size_bytes} bytes between its frames are "
        f"not audio, and {reason}. Export or download the song again and send the new "
        "file, or recover the rest of it: "
        "ffmpeg -err_detect ignore_err -i song -vn repaired.flac"
    )
