"""Bytes between the frames of a song that are neither frames nor known tags.

Programs that save internet radio, join files or write tags badly leave such junk, and
a song with it is whole: its frames are read as if nothing stood between them. But a
disk or a download that lost a part of a song leaves the same sight. These facts tell
the two apart, and any one of them is proof of damage:

1. The tag of an mp3 says that there are more frames. One that says how many there are
   settles the next question: nothing was replaced.
2. All frames are of one size, and the gap is as long as a whole number of them: what
   overwrites frames does not move those behind it.
3. The frame before the gap, or one of those after it, does not decode to what was
   encoded: what destroys sound does not begin and end at the borders of frames, and in
   layer III a frame's sound begins in the frames before it.
4. The gap is not evidently something else, text or a tag, and may be the rest of a
   frame: where bytes were lost from MPEG frames that no tag counts, less than a frame
   is left over; AAC's have no constant size, and their faults are not always found.
5. The gap begins with a frame that the next one cuts off: recordings were joined, or
   bytes lost, in the middle of a frame.

Without any of them the gap is junk. So a song with a harmless gap may be refused: that
is seen and repaired with one command, while a hole that is taken for junk is heard by
nobody until it is too late. That frames of changing size were replaced from border to
border, with no tag that counts them, is not seen: nothing known does that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

# What tags begin with, and the header that sound may have been wrapped in.
_NAMES = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"RIFF")
_MPEG = ("mp1", "mp2", "mp3")
_PRINTABLE = bytes([*b"\t\r\n", *range(32, 127)])


@dataclass(frozen=True)
class Gap:
    """Junk between two frames; `seconds` is where in the song, None if not known."""

    size_bytes: int
    seconds: float | None
    has_cut_frame: bool = False
    is_spoilt: bool = False
    is_text: bool = False


@dataclass(frozen=True)
class FrameCount:
    """How many frames there are, how many there should be, and of what size."""

    frames: int
    stated: int | None
    total_bytes: int
    smallest: int
    largest: int
    slot_bytes: int = 1
    codec: str = ""


def is_text(junk: bytes) -> bool:
    """Whether these first bytes of a gap are words or a tag, which no sound looks like.

    Some that are neither are allowed: lengths, padding, letters of other alphabets.
    """
    junk = junk.rstrip(b"\0")
    others = junk.translate(None, _PRINTABLE)
    is_readable = len(others) < 0.4 * len(junk)
    is_clean = len(others.replace(b"\0", b"")) < 0.1 * len(junk)
    return junk.startswith(_NAMES) or (is_readable and is_clean)


def damage(count: FrameCount, gaps: Sequence[Gap]) -> str | None:
    """Return what to tell about the first gap that is damage, None if all are junk."""
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
        return "a frame breaks off, as where recordings were joined or bytes lost"
    if gap.is_spoilt:
        return "the frames beside them are broken"
    if not gap.is_text and gap.size_bytes < _least_bytes(count):
        return "nothing shows that they are no rest of a frame"
    replaced = _whole_frames(count, gap.size_bytes)
    if replaced and count.frames != count.stated:
        frames = "a frame, which" if replaced == 1 else f"{replaced} frames, which"
        return f"they are as long as {frames} they have replaced"
    return None


def _least_bytes(count: FrameCount) -> float:
    """Return from how many bytes on a gap that is no text may be junk."""
    if count.codec == "aac":
        return inf
    is_counted = count.frames == count.stated
    return 0 if is_counted or count.codec not in _MPEG else count.largest


def _whole_frames(count: FrameCount, size_bytes: int) -> int:
    """Return how many frames of constant size are as long as a gap, or 0."""
    if not count.frames or count.largest - count.smallest > count.slot_bytes:
        return 0
    mean = count.total_bytes / count.frames
    frames = round(size_bytes / mean)
    # Sizes are rounded to slots, and so is their sum.
    return frames if abs(size_bytes - frames * mean) < 1.5 * count.slot_bytes else 0


def _message(gap: Gap, reason: str) -> str:
    where = "" if gap.seconds is None else f" at about {gap.seconds:.1f} s"
    return (
        f"The audio is damaged{where}: {gap.size_bytes} bytes among its frames are no "
        f"sound, and {reason}. Export or download the song again and send the new "
        "file, or keep what is left of it: "
        "ffmpeg -err_detect ignore_err -i song -vn repaired.flac"
    )
