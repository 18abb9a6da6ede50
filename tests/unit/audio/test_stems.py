import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.formats import FORMATS
from serve_app.audio.stems import StemWriter, WrittenStems
from serve_app.errors import StorageFull, disk_full_as_unavailable
from tests import disks, media
from tests.signals import snr_db

Wave = NDArray[np.float32]

NAMES = ("drums", "bass", "other", "vocals")


def four_stems(peak: float = 0.5, seconds: float = 0.5) -> Wave:
    """Make stems (4, 2, samples), the third of which reaches `peak`."""
    stems = np.stack([0.2 * media.song(seconds, seed=seed) for seed in range(4)])
    stems[2] *= peak / np.abs(stems[2]).max()
    return stems


def write(
    directory: Path, stems: Wave, name: str = "wav", block_samples: int = 4_001
) -> WrittenStems:
    with StemWriter(directory, NAMES, FORMATS[name], 44_100) as writer:
        for start in range(0, stems.shape[2], block_samples):
            writer.write(stems[:, :, start : start + block_samples])
        return writer.finish()


def decoded(path: Path) -> Wave:
    return np.concatenate(list(read_blocks(path)), axis=1)


@pytest.mark.parametrize("name", FORMATS)
def test_every_stem_gets_its_file(tmp_path: Path, name: str) -> None:
    stems = four_stems()
    written = write(tmp_path, stems, name)
    assert tuple(written.paths) == NAMES
    assert sorted(written.paths.values()) == sorted(tmp_path.iterdir())
    assert written.gain == 1.0
    assert written.peak == pytest.approx(0.5)
    for stem, path in zip(stems, written.paths.values(), strict=True):
        assert path.suffix == FORMATS[name].suffix
        if name != "opus":
            assert snr_db(stem, decoded(path)) > 10


@pytest.mark.parametrize("name", ["wav", "wav24", "flac"])
@pytest.mark.parametrize("loud_at", [100, 12_000, 22_000])
def test_one_gain_keeps_all_stems_from_clipping(
    tmp_path: Path, name: str, loud_at: int
) -> None:
    """For any position of the only sample that would clip."""
    stems = four_stems()
    stems[1, 0, loud_at] = -1.6
    written = write(tmp_path, stems, name)
    assert written.peak == pytest.approx(1.6)
    assert written.gain == pytest.approx(1 / 1.6, rel=1e-3)
    assert written.gain * written.peak < 1
    for stem, path in zip(stems, written.paths.values(), strict=True):
        assert snr_db(stem * np.float32(written.gain), decoded(path)) > 60


@pytest.mark.parametrize("name", ["mp3", "m4a", "opus"])
def test_lossy_stems_get_the_gain_too(tmp_path: Path, name: str) -> None:
    written = write(tmp_path, four_stems(peak=2.0), name)
    assert written.gain == pytest.approx(0.5, rel=1e-3)
    assert np.abs(decoded(written.paths["other"])).max() < 1.1


def test_floats_need_no_gain(tmp_path: Path) -> None:
    stems = four_stems(peak=3.0)
    written = write(tmp_path, stems, "wav32f")
    assert written.gain == 1.0
    assert written.peak == pytest.approx(3.0)
    np.testing.assert_array_equal(decoded(written.paths["other"]), stems[2])


def test_full_scale_itself_is_no_reason_for_a_gain(tmp_path: Path) -> None:
    written = write(tmp_path, four_stems(peak=1.0))
    assert written.gain == 1.0
    assert np.abs(decoded(written.paths["other"])).max() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("block_samples", [1_000, 65_536])
def test_the_size_of_the_blocks_does_not_matter(
    tmp_path: Path, block_samples: int
) -> None:
    stems = four_stems(peak=1.5)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = write(tmp_path / "a", stems, block_samples=4_001)
    other = write(tmp_path / "b", stems, block_samples=block_samples)
    for name in NAMES:
        assert one.paths[name].read_bytes() == other.paths[name].read_bytes()


@pytest.mark.parametrize("peak", [0.5, 1.5])
def test_leaving_without_finish_leaves_nothing(tmp_path: Path, peak: float) -> None:
    with StemWriter(tmp_path, NAMES, FORMATS["flac"], 44_100) as writer:
        writer.write(four_stems(peak))
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def cancelled() -> None:
        with StemWriter(tmp_path, NAMES, FORMATS["mp3"], 44_100) as writer:
            writer.write(four_stems())
            raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        cancelled()
    assert list(tmp_path.iterdir()) == []


def test_what_is_spooled_can_be_seen_and_goes_when_the_stems_are_done(
    tmp_path: Path,
) -> None:
    stems = {f"{name}.wav" for name in NAMES}
    with StemWriter(tmp_path, NAMES, FORMATS["wav"], 44_100) as writer:
        writer.write(four_stems())
        names = {path.name for path in tmp_path.iterdir()}
        assert names == stems | {f"{name}.spool" for name in NAMES}
        assert disks.deleted_files(tmp_path) == []
        writer.finish()
    assert {path.name for path in tmp_path.iterdir()} == stems
    assert disks.open_files(tmp_path) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_stem_that_a_full_disk_has_cut_is_never_finished(
    small_disk: disks.SmallDisk, name: str
) -> None:
    """Wherever the disk becomes full: at the first block, the last page, in between."""
    stems = four_stems(peak=1.2)
    directory = small_disk.path / "stems"
    directory.mkdir()
    written = write(directory, stems, name)
    whole = {path.name: path.stat().st_size for path in directory.iterdir()}
    needed = sum(map(disks.allocated_bytes, written.paths.values()))
    for path in written.paths.values():
        path.unlink()
    for room in (0, needed // 8, needed // 2, needed - disks.PAGE_BYTES):
        with (
            small_disk.filled(room),
            pytest.raises(StorageFull),
            disk_full_as_unavailable(),
        ):
            write(directory, stems, name)
        assert list(directory.iterdir()) == []
        assert disks.open_files(small_disk.path) == []
    write(directory, stems, name)
    assert {path.name: path.stat().st_size for path in directory.iterdir()} == whole


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_stems_that_are_not_numbers_are_never_written(
    tmp_path: Path, value: float
) -> None:
    stems = four_stems()
    stems[3, 1, 17] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        write(tmp_path, stems)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_an_error_that_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StemWriter(tmp_path / "none", NAMES, FORMATS["wav"], 44_100)


def test_memory_does_not_grow_with_the_song(tmp_path: Path) -> None:
    block = four_stems(peak=1.5, seconds=0.2)[2:3]

    def peak_bytes(blocks: int) -> int:
        tracemalloc.start()
        # One stem, so that it does not matter which threads meet.
        with StemWriter(tmp_path, ["drums"], FORMATS["wav"], 44_100) as writer:
            for _ in range(blocks):
                writer.write(block)
            writer.finish()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(20)
    assert peak_bytes(60) < 1.1 * peak_bytes(20)
