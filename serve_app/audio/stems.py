"""Write all stems of a song together, with one gain for all of them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from serve_app.audio.encode import Encoder
from serve_app.audio.formats import StemFormat

Wave = NDArray[np.float32]

_SAMPLE_BYTES = 2 * 4  # two channels of float32

# The largest 16-bit sample, one step below full scale.
_CEILING = 1 - 2.0**-15


@dataclass(frozen=True)
class WrittenStems:
    """Finished stems: their files, and the gain applied to all of them.

    `peak` is the largest magnitude before the gain.
    """

    paths: Mapping[str, Path]
    gain: float
    peak: float


class StemWriter:
    """Encodes the stems of one song block by block, without clipping.

    A context manager: unless `finish` was called, it deletes the files on exit. For
    formats that clip, the stems are also spooled as float32 beside their files: at
    44.1 kHz 353 kB per second and stem, 1.41 MB for four stems, 0.3 GB for a song of
    3:30.
    """

    def __init__(
        self,
        directory: Path,
        names: Sequence[str],
        format: StemFormat,
        sample_rate: int,
    ) -> None:
        self._format = format
        self._sample_rate = sample_rate
        self._paths = {name: directory / f"{name}{format.suffix}" for name in names}
        self._peak = 0.0
        # The spools hold each block's channels one after the other.
        self._block_samples: list[int] = []
        self._is_finished = False
        self._encoders: list[Encoder] = []
        self._files = ExitStack()
        self._spools: list[IO[bytes]] = []
        # Encoders release the GIL, so the stems are encoded in parallel.
        self._threads = ThreadPoolExecutor(len(names), "encode")
        try:
            self._open_encoders()
            if format.can_clip:
                for path in self._paths.values():
                    self._spools.append(self._new_spool(path))
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_finished:
            self._discard()

    def write(self, stems: Wave) -> None:
        """Append a block (stems, 2, samples); ValueError if it has NaN or infinity."""
        if stems.shape[-1] == 0:
            return
        # No array of magnitudes: this shares its cores with the network.
        peak = max(float(stems.max()), -float(stems.min()))
        if not np.isfinite(peak):
            raise ValueError("the stems contain NaN or infinite samples")
        self._peak = max(self._peak, peak)
        for spool, stem in zip(self._spools, stems, strict=False):
            for channel in stem:
                spool.write(np.ascontiguousarray(channel, np.float32).data)
        self._block_samples.append(stems.shape[-1])
        if self._clips:
            # All stems are encoded again from the spools at the end.
            self._abort_encoders()
        self._each(lambda index, encoder: encoder.write(stems[index]))

    def finish(self) -> WrittenStems:
        """Complete the files; if any stem exceeds full scale, lower the gain of all.

        It puts the highest peak just under full scale, and is 1 otherwise.
        """
        gain = 1.0
        if self._clips:
            gain = _CEILING / self._peak
            self._open_encoders()
            self._each(lambda index, encoder: self._encode_spool(index, encoder, gain))
        self._each(lambda _, encoder: encoder.close())
        self._threads.shutdown()
        self._close_spools()
        self._is_finished = True
        return WrittenStems(dict(self._paths), gain, self._peak)

    @property
    def _clips(self) -> bool:
        return self._format.can_clip and self._peak > 1

    def _new_spool(self, stem: Path) -> IO[bytes]:
        # A named file, so that operators can see what fills the disk.
        path = stem.with_suffix(".spool")
        self._files.callback(path.unlink, missing_ok=True)
        return self._files.enter_context(path.open("w+b"))

    def _open_encoders(self) -> None:
        # Appended one by one: if one can't be opened, those before it are closed.
        for path in self._paths.values():
            self._encoders.append(Encoder(path, self._format, self._sample_rate))

    def _each(self, action: Callable[[int, Encoder], None]) -> None:
        encoders = self._encoders
        list(self._threads.map(action, range(len(encoders)), encoders))

    def _encode_spool(self, index: int, encoder: Encoder, gain: float) -> None:
        spool = self._spools[index]
        spool.seek(0)
        for samples in self._block_samples:
            data = spool.read(samples * _SAMPLE_BYTES)
            wave = np.frombuffer(data, np.float32).reshape(2, samples)
            encoder.write(wave * np.float32(gain))

    def _abort_encoders(self) -> None:
        for encoder in self._encoders:
            encoder.abort()
        self._encoders = []

    def _close_spools(self) -> None:
        # Closing flushes the last block, which fails on a full disk. The spool is
        # deleted anyway.
        with suppress(OSError):
            self._files.close()

    def _discard(self) -> None:
        self._threads.shutdown()
        self._close_spools()
        self._abort_encoders()
        for path in self._paths.values():
            path.unlink(missing_ok=True)
