"""Write several stereo songs of the same length as the tracks of one mp4."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import av
import numpy as np
from av import AudioStream
from av.stream import Disposition
from numpy.typing import NDArray

from serve_app.audio.encode import as_integers

Wave = NDArray[np.float32]

_HEADER_BYTES = 4096


@dataclass(frozen=True)
class _Codec:
    sample_format: str
    bit_rate: int | None = None
    options: tuple[tuple[str, str], ...] = ()


_CODECS: Mapping[str, _Codec] = MappingProxyType(
    {
        "aac": _Codec("fltp", 256_000, (("aac_coder", "fast"),)),
        "alac": _Codec("s16p"),
    }
)
CODECS = tuple(_CODECS)


class MultitrackEncoder:
    """Writes an mp4 with `tracks` tracks; only the first one is enabled.

    `codec` is `aac` (256 kbit/s) or `alac` (16 bits, clipped). All tracks have the same
    encoder delay; their edit lists exclude it, and the padding at the end.
    `write` the blocks, then `close`; on failure `abort`.
    """

    def __init__(self, path: Path, codec: str, sample_rate: int, tracks: int) -> None:
        self._path = path
        self._codec = _CODECS[codec]
        self._rate = sample_rate
        self._samples = 0
        # Encoders release the GIL, so the tracks are encoded in parallel.
        self._threads = ThreadPoolExecutor(tracks, "encode")
        # PyAV never closes a file if it can't write its header. On a full disk this
        # write fails first.
        path.write_bytes(bytes(_HEADER_BYTES))
        self._container = av.open(
            f"file:{path.absolute()}",
            "w",
            format="mp4",
            # The unit of the edit lists: they end exactly to the sample.
            container_options={"movie_timescale": str(sample_rate)},
        )
        try:
            self._streams = [self._add_stream(codec) for _ in range(tracks)]
            self._streams[0].disposition = Disposition.default
            self._container.start_encoding()
        except BaseException:
            self.abort()
            raise

    def write(self, tracks: Sequence[Wave]) -> None:
        """Append a block (2, samples) to each track, all of the same length."""
        samples = tracks[0].shape[1]
        if any(track.shape[1] != samples for track in tracks):
            lengths = sorted({track.shape[1] for track in tracks})
            raise ValueError(f"tracks must have the same length, got {lengths} samples")
        if samples == 0:
            return
        frames = [self._frame(track) for track in tracks]
        self._mux(frames)
        self._samples += samples

    def close(self) -> None:
        """Finish the file: it is complete when this returns."""
        self._mux([None] * len(self._streams))
        self._threads.shutdown()
        self._container.close()

    def abort(self) -> None:
        """Stop writing and delete the file."""
        self._threads.shutdown()
        try:
            self._container.close()
        except av.FFmpegError:
            pass  # The file is deleted anyway.
        finally:
            self._path.unlink(missing_ok=True)

    def _add_stream(self, codec: str) -> AudioStream:
        stream = cast(
            AudioStream,
            self._container.add_stream(
                codec, rate=self._rate, options=dict(self._codec.options)
            ),
        )
        stream.layout, stream.format = "stereo", self._codec.sample_format
        stream.time_base = Fraction(1, self._rate)
        if self._codec.bit_rate is not None:
            stream.bit_rate = self._codec.bit_rate
        return stream

    def _mux(self, frames: Sequence[av.AudioFrame | None]) -> None:
        encoded = self._threads.map(
            lambda stream, frame: stream.encode(frame), self._streams, frames
        )
        for packets in encoded:
            self._container.mux(packets)

    def _frame(self, track: Wave) -> av.AudioFrame:
        is_float = self._codec.sample_format == "fltp"
        samples: Any = track if is_float else as_integers(track, 16)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), self._codec.sample_format, "stereo"
        )
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._samples
        return frame
