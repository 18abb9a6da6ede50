"""Segments made into one MP4 without encoding, in a process of its own.

Run as `python -m serve_app.archive.downloads.remux`: a plan comes by stdin; lines of
JSON, with the progress and in the end the result, go to stdout. `joining` starts it.
FFmpeg reads only the plan's files here, with the demuxer that the plan names.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from serve_app.archive.downloads import decryption
from serve_app.errors import is_disk_full

AnyPacket: TypeAlias = "Packet[Any]"
VIDEO, AUDIO = "video", "audio"
_INPUT_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mpegts,mov,aac,mp3",
}
# The same input makes the same bytes: without the time and the muxer's version.
_OUTPUT_OPTIONS = {"movflags": "+faststart", "fflags": "+bitexact"}
# Two tracks whose times differ by more have clocks of their own: both begin at once.
_SAME_CLOCK_SECONDS = 1
# Packets in which all streams of a section must have begun.
_MOST_FIRST_PACKETS = 2000
_MPEG_CLOCK = Fraction(1, 90_000)
_REPORT_BYTES = 4 * 1024**2
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Unusable(Exception):
    """The segments can't be made into one MP4; the message says why."""


@dataclass(frozen=True)
class Piece:
    """A file, and in hexadecimal digits the key and vector if it is encrypted."""

    path: str
    size_bytes: int
    key: str = ""
    iv: str = ""


@dataclass(frozen=True)
class Run:
    """Files that are one file of a container (FFmpeg's name) when joined."""

    container: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Plan:
    """The `output`, and its tracks: runs of files, by section between discontinuities.

    With two tracks the first has the video, and the second the audio.
    """

    output: str
    tracks: tuple[tuple[tuple[Run, ...], ...], ...]


@dataclass(frozen=True)
class Joined:
    """The duration of each track, and the kinds of the streams in the MP4."""

    seconds: tuple[float, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class _Timed:
    """A packet and its times, in seconds of its own clock."""

    kind: str
    packet: AnyPacket
    dts: Fraction
    pts: Fraction


class _Joint:
    """Several files read as one, forwards only, by FFmpeg."""

    def __init__(self, pieces: Iterable[Piece], count: Callable[[int], None]) -> None:
        self._chunks = chain.from_iterable(map(_chunks, pieces))
        self._count = count
        self._left = b""

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, at most so many."""
        while not self._left:
            self._left = next(self._chunks, b"")
            self._count(len(self._left))
            if not self._left:
                return b""
        found, self._left = self._left[:size_bytes], self._left[size_bytes:]
        return found


class _Output:
    """The MP4: packets are placed on its timeline, and never go back in time."""

    def __init__(self, container: OutputContainer) -> None:
        self._container = container
        self._streams: dict[str, Stream] = {}
        self._formats: dict[str, tuple[str, bytes | None]] = {}
        self._is_begun = False
        self._last_dts: dict[str, int] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its streams."""
        return tuple(self._streams)

    def add(self, kind: str, stream: Stream, container: str) -> None:
        """Take packets of `stream` too; Unusable if it has another codec."""
        name = stream.codec_context.codec.canonical_name
        # Packets of MPEG-TS carry their parameters with them; those of MP4 do not.
        extradata = stream.codec_context.extradata if container == "mov" else None
        known = self._formats.setdefault(kind, (name, extradata))
        if known[0] != name:
            raise Unusable(
                f"the codec of its {kind} changes from {known[0]} to {name}, and no "
                "MP4 can have both"
            )
        if known[1] != extradata:
            raise Unusable(f"the parameters of its {kind} ({name}) change midway")
        if kind in self._streams:
            return
        try:
            self._streams[kind] = self._container.add_stream_from_template(stream)
        except ValueError as err:
            raise self._wrong_codecs() from err

    def write(self, timed: _Timed, offset: Fraction) -> None:
        """Append a packet, `offset` seconds later than it says."""
        if not self._is_begun:
            self._begin()
        stream = self._streams[timed.kind]
        # The muxer's own: rounded to another clock, two times could become one.
        clock = stream.time_base or _MPEG_CLOCK
        dts, pts = (
            round((timed.dts + offset) / clock),
            round((timed.pts + offset) / clock),
        )
        # Where sections meet, some packets may overlap by a few.
        dts = max(dts, self._last_dts.get(timed.kind, dts - 1) + 1)
        self._last_dts[timed.kind] = dts
        packet = timed.packet
        if packet.duration and packet.time_base:
            packet.duration = round(packet.duration * packet.time_base / clock)
        packet.dts, packet.pts, packet.time_base = dts, max(dts, pts), clock
        packet.stream = stream
        self._container.mux(packet)

    def _begin(self) -> None:
        """Write the header, which settles the clocks of the streams."""
        try:
            self._container.start_encoding()
        except (av.FFmpegError, ValueError) as err:
            raise self._wrong_codecs() from err
        self._is_begun = True

    def _wrong_codecs(self) -> Unusable:
        names = " and ".join(name for name, _ in self._formats.values())
        return Unusable(f"no MP4 can have its codecs ({names})")


def join(plan: Plan, count: Callable[[int], None] = lambda _: None) -> Joined:
    """Write the MP4 of a plan; `count` gets the numbers of bytes that are read.

    Raises Unusable.
    """
    if len({len(track) for track in plan.tracks}) != 1:
        raise Unusable("its video and its audio have different discontinuities")
    options = dict(_OUTPUT_OPTIONS)
    seconds = [Fraction(0)] * len(plan.tracks)
    try:
        with av.open(plan.output, "w", format="mp4", options=options) as container:
            output = _Output(container)
            for section in zip(*plan.tracks, strict=True):
                lengths = _write_section(output, section, max(seconds), count)
                seconds = [max(seconds) + length for length in lengths]
    except (av.FFmpegError, decryption.WrongKey) as err:
        if isinstance(err, OSError) and is_disk_full(err):
            raise
        raise Unusable(f"its segments are damaged ({err})") from err
    return Joined(tuple(map(float, seconds)), output.kinds)


def _write_section(
    output: _Output,
    section: tuple[tuple[Run, ...], ...],
    begin: Fraction,
    count: Callable[[int], None],
) -> list[Fraction]:
    """Append what is between two discontinuities; return how long each track is."""
    tracks, starts = [], []
    for number, runs in enumerate(section):
        kinds = (VIDEO, AUDIO) if len(section) == 1 else ((VIDEO, AUDIO)[number],)
        first, rest = _begun(_packets(output, runs, kinds, count), kinds)
        starts.append(min(timed.pts for timed in first))
        tracks.append(chain(first, rest))
    if max(starts) - min(starts) <= _SAME_CLOCK_SECONDS:
        starts = [min(starts)] * len(starts)
    ends = list(starts)

    def placed(number: int) -> Iterator[tuple[Fraction, int, _Timed]]:
        for timed in tracks[number]:
            length = Fraction(timed.packet.duration or 0) * timed.packet.time_base
            ends[number] = max(ends[number], timed.pts + length)
            yield timed.dts - starts[number], number, timed

    def time(each: tuple[Fraction, int, _Timed]) -> tuple[Fraction, int]:
        return each[:2]

    for _, number, timed in merge(*map(placed, range(len(tracks))), key=time):
        output.write(timed, begin - starts[number])
    return [end - start for start, end in zip(starts, ends, strict=True)]


def _begun(
    packets: Iterator[_Timed], kinds: tuple[str, ...]
) -> tuple[list[_Timed], Iterator[_Timed]]:
    """Return packets until each stream has begun, and the rest."""
    first: list[_Timed] = []
    expected = None
    for timed in packets:
        first.append(timed)
        expected = expected or _kinds_of(timed.packet).intersection(kinds)
        is_begun = {each.kind for each in first} >= expected
        if is_begun or len(first) == _MOST_FIRST_PACKETS:
            break
    if not first:
        raise Unusable("a part of it has neither video nor audio")
    return first, packets


def _kinds_of(packet: AnyPacket) -> set[str]:
    return {stream.type for stream in packet.stream.container.streams}


def _packets(
    output: _Output,
    runs: Iterable[Run],
    kinds: tuple[str, ...],
    count: Callable[[int], None],
) -> Iterator[_Timed]:
    """Yield the packets of the first video and of the first audio stream."""
    for run in runs:
        joint = _Joint(run.pieces, count)
        with av.open(joint, "r", run.container, options=dict(_INPUT_OPTIONS)) as found:
            streams = _streams(found, kinds)
            for stream in streams:
                output.add(stream.type, stream, run.container)
            yield from _timed(found, streams)


def _streams(container: InputContainer, kinds: tuple[str, ...]) -> list[Stream]:
    streams = [
        next((each for each in container.streams if each.type == kind), None)
        for kind in kinds
    ]
    found = [stream for stream in streams if stream is not None]
    if not found:
        raise Unusable(f"a part of it has no {' and no '.join(kinds)}")
    return found


def _timed(container: InputContainer, streams: list[Stream]) -> Iterator[_Timed]:
    last: dict[str, Fraction] = {}
    for packet in container.demux(streams):
        if not packet.size:
            continue
        kind, clock = packet.stream.type, packet.time_base or _MPEG_CLOCK
        dts = packet.dts if packet.dts is not None else packet.pts
        # A packet without a time follows the one before.
        time = last.get(kind, Fraction(0)) if dts is None else dts * clock
        pts = time if packet.pts is None else packet.pts * clock
        last[kind] = time + (packet.duration or 0) * clock
        yield _Timed(kind, packet, time, pts)


def _chunks(piece: Piece) -> Iterator[bytes]:
    key, iv = bytes.fromhex(piece.key), bytes.fromhex(piece.iv)
    return decryption.chunks(Path(piece.path), key, iv)


def parsed(plan: Mapping[str, Any]) -> Plan:
    """Return the plan that was written as JSON."""
    tracks = tuple(
        tuple(
            tuple(
                Run(run["container"], tuple(Piece(**each) for each in run["pieces"]))
                for run in section
            )
            for section in track
        )
        for track in plan["tracks"]
    )
    return Plan(plan["output"], tracks)


class _Progress:
    """Says how many bytes were read, now and then."""

    def __init__(self) -> None:
        self._read_bytes = self._said_bytes = 0

    def count(self, size_bytes: int) -> None:
        self._read_bytes += size_bytes
        if self._read_bytes - self._said_bytes >= _REPORT_BYTES:
            self._said_bytes = self._read_bytes
            _say({"read_bytes": self._read_bytes})


def _say(message: Mapping[str, object]) -> None:
    print(json.dumps(message), flush=True)


def _main() -> None:
    # It must not write any more when the process that started it is killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
    av.logging.set_level(av.logging.PANIC)
    plan = parsed(json.load(sys.stdin))
    try:
        joined = join(plan, _Progress().count)
    except Unusable as err:
        _say({"unusable": str(err)})
    except OSError as err:
        _say({"errno": err.errno, "strerror": err.strerror})
    else:
        _say({"seconds": joined.seconds, "kinds": joined.kinds})


if __name__ == "__main__":
    _main()
