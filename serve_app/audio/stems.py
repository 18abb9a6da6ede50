"""All stems of a song, written together, with one gain for all of them."""

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

# The largest sample of 16 bits, which is a step below full scale.
_CEILING = 1 - 2.0**-15


@dataclass(frozen=True)
class WrittenStems:
    """Finished stems: where they lie, and the one gain that all of them got.

    `peak` is the largest magnitude there was before the gain.
    """

    paths: Mapping[str, Path]
    gain: float
    peak: float


class StemWriter:
    """Encodes the stems of one song as they come, and none that clips.

    A context: left without `finish`, it deletes what it wrote. For formats that clip,
    the stems are also kept as float32 in files beside theirs: 353 kB a second of audio
    and stem at 44.1 kHz, 1.41 MB for four stems, 0.3 GB for a song of 3:30.
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
        # The spools hold one channel of a block after the other.
        self._block_samples: list[int] = []
        self._is_finished = False
        self._encoders: list[Encoder] = []
        self._files = ExitStack()
        self._spools: list[IO[bytes]] = []
        # Encoders release the interpreter: each stem gets a core if there is one.
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
        """Append a block (stems, 2, samples); ValueError when it is not all numbers."""
        if stems.shape[-1] == 0:
            return
        # Without an array of magnitudes: this runs beside the network, on its cores.
        peak = max(float(stems.max()), -float(stems.min()))
        if not np.isfinite(peak):
            raise ValueError("the stems hold samples that are not numbers")
        self._peak = max(self._peak, peak)
        for spool, stem in zip(self._spools, stems, strict=False):
            for channel in stem:
                spool.write(np.ascontiguousarray(channel, np.float32).data)
        self._block_samples.append(stems.shape[-1])
        if self._clips:
            # They will have to be encoded anew: no use in going on.
            self._abort_encoders()
        self._each(lambda index, encoder: encoder.write(stems[index]))

    def finish(self) -> WrittenStems:
        """Complete the files, with less gain for all if any stem was over full scale.

        Only then is the gain below 1: it puts the highest peak just under full scale.
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
        # With a name, so that what takes the room on a disk can be seen.
        path = stem.with_suffix(".spool")
        self._files.callback(path.unlink, missing_ok=True)
        return self._files.enter_context(path.open("w+b"))

    def _open_encoders(self) -> None:
        # One by one: those before one that can't be opened are closed as well.
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
        # On a full disk there may be no room for a spool's last block, which nobody
        # needs any more: it is closed and deleted all the same.
        with suppress(OSError):
            self._files.close()

    def _discard(self) -> None:
        self._threads.shutdown()
        self._close_spools()
        self._abort_encoders()
        for path in self._paths.values():
            path.unlink(missing_ok=True)
