"""Runs of frames in a file of bare frames, and the gaps between the frames."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from serve_app.audio import mpeg, neighbours, tags
from serve_app.audio.frame_sizes import HEAD_BYTES
from serve_app.audio.frame_syntax import Syntax
from serve_app.audio.gaps import FrameCount, Gap, damage, is_text
from serve_app.audio.resync import Resync
from serve_app.audio.splice import Stretch, read_at

_BLOCK_BYTES = 65_536
# Every field that is read of a tag frame is within so many bytes.
_TAG_BYTES = 200
# Junk is classified by so many of its first bytes.
_JUNK_BYTES = 65_536
# At a constant bit rate, frame sizes differ by at most one slot of so many bytes.
_SLOT_BYTES = {"mp1": 4, "ac3": 2, "eac3": 2}


@dataclass(frozen=True)
class Run:
    """Frames of one stream; `damage` is the error message if they are damaged."""

    pieces: tuple[Stretch, ...]
    is_cut: bool = False
    damage: str | None = None


def runs(file: BinaryIO, whole: Stretch, syntax: Syntax, start: int) -> Iterator[Run]:
    """Yield the runs of frames without the gaps between them.

    A frame of another kind, or a new tag frame, starts a new run. `start` is the first
    frame's position in `whole`. Bytes behind the last frame are left out, but given to
    FFmpeg if the last frame may be broken.
    """
    resync = Resync(file, len(whole), syntax)
    run = _RunBuilder(file, whole, syntax, start)
    if start:
        run.note_leading_junk(start)
    position = start
    while position < len(whole):
        head = read_at(file, position, HEAD_BYTES)
        size_bytes = syntax.measure(head)
        if size_bytes and run.accepts(head, position):
            run.add(position, size_bytes)
            position += size_bytes
        elif size_bytes and resync.has_frames(position):
            yield run.ended(position)
            run = _RunBuilder(file, whole, syntax, position)
        elif (after := _end_of_known(file, position, resync, run.kind)) > position:
            run.skip_known(position, after)
            position = after
        else:
            found = resync.next_frame(run.last_start + 1, run.kind)
            if found is None:
                yield run.ended_in_junk(position, resync)
                return
            run.skip_gap(position, found)
            position = found
    yield run.ended(position)


def _end_of_known(file: BinaryIO, position: int, resync: Resync, kind: bytes) -> int:
    """Return the end of tags and zeros, or `position`.

    It is `position` if neither frames nor the end of the file follow them: then the
    tags state wrong sizes, or there is something else.
    """
    after = _end_of_filling(file, tags.end_of_tags(file, position))
    is_known = after == resync.end or resync.has_frames(after, kind)
    return after if is_known else position


def _end_of_filling(file: BinaryIO, position: int) -> int:
    """Return the first position that is not a zero byte."""
    while block := read_at(file, position, _BLOCK_BYTES):
        rest = len(block.lstrip(b"\0"))
        position += len(block) - rest
        if rest:
            break
    return position


class _RunBuilder:
    """A run under construction. Positions are relative to `whole`."""

    def __init__(
        self, file: BinaryIO, whole: Stretch, syntax: Syntax, start: int
    ) -> None:
        head = read_at(file, start, _TAG_BYTES)
        self.kind = mpeg.kind(head)
        self._file, self._whole, self._syntax, self._head = file, whole, syntax, head
        self._start = start
        self._stated = mpeg.stated_frames(head) if mpeg.is_tag_frame(head) else None
        self._pieces: list[Stretch] = []
        self._piece_start = start
        self._recent: deque[Stretch] = deque(maxlen=neighbours.BEFORE)
        # The number of frames of each size; there are few sizes.
        self._sizes: Counter[int] = Counter()
        self._gaps: list[Gap] = []

    @property
    def last_start(self) -> int:
        """The start of the last frame."""
        return self._recent[-1].start if self._recent else self._start

    @property
    def _last_end(self) -> int:
        return self._recent[-1].end if self._recent else self._start

    def accepts(self, head: bytes, position: int) -> bool:
        """Whether the frame with this header belongs to this run."""
        is_other = position > self._start and mpeg.is_tag_frame(head)
        return mpeg.kind(head) == self.kind and not is_other

    def add(self, position: int, size_bytes: int) -> None:
        """Add a frame."""
        self._recent.append(Stretch(position, position + size_bytes))
        if position > self._start or not mpeg.is_tag_frame(self._head):
            self._sizes[size_bytes] += 1

    def note_leading_junk(self, size_bytes: int) -> None:
        """Note junk before the first frame."""
        self._gaps.append(Gap(size_bytes, 0.0, is_text=True))

    def skip(self, start: int, end: int) -> None:
        """Leave out bytes that are known not to be audio."""
        self._close(start)
        self._piece_start = end

    def skip_known(self, position: int, after: int) -> None:
        """Leave out tags and zeros; note zeros, which may have replaced frames."""
        is_filling = read_at(self._file, position, 1) == b"\0"
        if is_filling and self.accepts(read_at(self._file, after, HEAD_BYTES), after):
            self._gaps.append(Gap(after - position, self._seconds(), is_text=True))
        self.skip(position, after)

    def skip_gap(self, position: int, found: int) -> None:
        """Leave out the gap between `position` and the frames at `found`."""
        has_cut_frame = found < position
        end = position
        if has_cut_frame:
            cut = self._recent.pop()
            self._sizes[len(cut)] -= 1
            end = cut.start
        junk_start = tags.end_of_tags(self._file, end)
        junk_start = junk_start if junk_start < found else end
        self._gaps.append(
            Gap(
                found - junk_start,
                self._seconds(),
                has_cut_frame,
                not self._is_intact(self._frames_from(found)),
                is_text(self._junk(junk_start, found)),
            )
        )
        self.skip(end, found)

    def ended(self, position: int) -> Run:
        """Return the run; its frames end at `position`."""
        size_bytes = len(self._whole)
        self._close(min(position, size_bytes))
        count = self._count()
        # If all frames are there, a truncated tag behind them is no loss.
        is_complete = count.frames == count.stated and self._last_end <= size_bytes
        is_cut = position > size_bytes and not is_complete
        return Run(tuple(self._pieces), is_cut, damage(count, self._gaps))

    def ended_in_junk(self, position: int, resync: Resync) -> Run:
        """Return the run if no frame was found behind its last one."""
        stated_end = tags.end_of_tags(self._file, position)
        if stated_end > len(self._whole):
            return self.ended(stated_end)
        is_over = not resync.is_exhausted and self._is_intact([])
        return self.ended(position if is_over else len(self._whole))

    def _close(self, end: int) -> None:
        start = self._piece_start
        if start < end:
            offset = self._whole.start
            self._pieces.append(Stretch(offset + start, offset + end))
        self._piece_start = len(self._whole)

    def _is_intact(self, after: list[bytes]) -> bool:
        before = [read_at(self._file, f.start, len(f)) for f in self._recent]
        return bool(before) and neighbours.are_intact(self._syntax, before, after)

    def _junk(self, start: int, end: int) -> bytes:
        return read_at(self._file, start, min(end - start, _JUNK_BYTES))

    def _frames_from(self, position: int) -> list[bytes]:
        frames: list[bytes] = []
        for _ in range(neighbours.AFTER):
            head = read_at(self._file, position, HEAD_BYTES)
            size_bytes = self._syntax.measure(head)
            if not size_bytes or mpeg.kind(head) != self.kind:
                break
            frames.append(read_at(self._file, position, size_bytes))
            position += size_bytes
        return frames

    def _seconds(self) -> float | None:
        seconds = self._syntax.seconds(self._head)
        return None if seconds is None else seconds * self._sizes.total()

    def _count(self) -> FrameCount:
        sizes = +self._sizes
        codec = self._syntax.codec(self._head)
        return FrameCount(
            frames=sizes.total(),
            stated=self._stated,
            total_bytes=sum(size * count for size, count in sizes.items()),
            smallest=min(sizes, default=0),
            largest=max(sizes, default=0),
            slot_bytes=_SLOT_BYTES.get(codec, 1),
            codec=codec,
        )
