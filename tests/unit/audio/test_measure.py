import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import AudioTooLong, UnreadableAudio
from tests import media

LIMITS = AudioLimits(max_duration_seconds=7_200)

# Truncation can't be detected: raw AAC frames have no number and no end mark.
CUTTABLE = [kind for kind in media.KINDS if kind != "aac"]

# Damage can't be detected in uncompressed samples.
UNCHECKED = ("wav8", "wav16", "wav24", "wav32", "aiff")


@pytest.mark.parametrize("kind", media.KINDS)
def test_the_facts_are_those_of_the_song(tmp_path: Path, kind: str) -> None:
    wave = media.write_song(tmp_path / "song", kind, seconds=1.5)
    facts = measure(tmp_path / "song", LIMITS)
    mono = wave.mean(axis=0, dtype=np.float64)
    assert facts.sample_rate == media.usual_rate(kind)
    assert facts.channels == 2
    assert facts.samples == pytest.approx(wave.shape[1], abs=2048 * (kind == "mkv"))
    assert facts.mean == pytest.approx(mono.mean(), abs=5e-3)
    assert facts.deviation == pytest.approx(mono.std(ddof=1), rel=0.05)
    assert facts.peak == pytest.approx(0.5, abs=0.05)


def test_mean_and_deviation_are_exact(tmp_path: Path) -> None:
    """A loud song with a large offset, where float32 sums of squares are inexact."""
    wave = media.song(3.0) * 0.01 + np.float32(0.9)
    media.write_wave(tmp_path / "song", wave, 44_100, "wavfloat")
    facts = measure(tmp_path / "song", LIMITS)
    mono = wave.astype(np.float64).mean(axis=0)
    assert facts.mean == pytest.approx(mono.mean(), rel=1e-12)
    assert facts.deviation == pytest.approx(mono.std(ddof=1), rel=1e-9)
    assert facts.peak == float(np.abs(wave).max())


@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_a_song_has_no_more_samples_in_all_its_channels_than_are_taken(
    tmp_path: Path, kind: str
) -> None:
    media.write_song(tmp_path / "song", kind, seconds=1.0)
    facts = measure(tmp_path / "song", LIMITS)
    values = facts.samples * facts.channels
    measure(tmp_path / "song", AudioLimits(60, max_values=values))
    with pytest.raises(AudioTooLong, match="2 channels of 44100 Hz"):
        measure(tmp_path / "song", AudioLimits(60, max_values=values // 2))


def channels(wave: media.Wave, left: float, right: float) -> media.Wave:
    """Return a song of two channels: the first one times each factor."""
    return wave[:1] * np.array([[left], [right]], np.float32)


WIDE = {
    "mono": channels(media.song(1.0), 1, 1),
    "unlike": media.song(1.0),
    "left only": channels(media.song(1.0), 1, 0),
    "right only": channels(media.song(1.0), 0, 1),
    "nothing in common": np.stack([media.song(1.0, seed=s)[0] for s in (1, 2)]),
    "the difference 6 dB over the sum": channels(media.song(1.0), 1, -0.33),
    "half of it out of phase": np.concatenate(
        [channels(media.song(0.5), 1, 1), channels(media.song(0.5), 1, -1)], axis=1
    ),
    "silence": np.zeros((2, 100), np.float32),
}
CANCELLED = {
    "exactly": channels(media.song(1.0), 1, -1),
    "nearly": channels(media.song(1.0), 1, -0.999),
    "quietly": channels(media.song(1.0), 1e-4, -1e-4),
    "on an offset": channels(media.song(1.0), 1, -1) * 0.5 + np.float32(0.2),
}


@pytest.mark.parametrize("wave", WIDE.values(), ids=WIDE)
def test_the_deviation_is_the_mono_mixs_however_wide_the_song(
    tmp_path: Path, wave: media.Wave
) -> None:
    """Exactly as Demucs normalises, for mono and wide songs."""
    media.write_wave(tmp_path / "song", wave, 44_100, "wavfloat")
    facts = measure(tmp_path / "song", LIMITS)
    mono = wave.astype(np.float64).mean(axis=0)
    assert facts.deviation == pytest.approx(mono.std(ddof=1), rel=1e-12)


@pytest.mark.parametrize("wave", CANCELLED.values(), ids=CANCELLED)
def test_channels_that_cancel_each_other_have_the_deviation_of_both(
    tmp_path: Path, wave: media.Wave
) -> None:
    media.write_wave(tmp_path / "song", wave, 44_100, "wavfloat")
    facts = measure(tmp_path / "song", LIMITS)
    both = np.sqrt(wave.astype(np.float64).var(axis=1, ddof=1).mean())
    assert facts.deviation == pytest.approx(both / 4, rel=1e-9)


def test_the_deviation_has_no_step_where_channels_begin_to_cancel_each_other(
    tmp_path: Path,
) -> None:
    found = []
    for likeness in np.linspace(0.55, 0.65, 21):
        wave = channels(media.song(0.2), 1, -likeness)
        media.write_wave(tmp_path / "song", wave, 44_100, "wavfloat")
        found.append(measure(tmp_path / "song", LIMITS).deviation)
    assert np.abs(np.diff(found)).max() < 0.02 * max(found)


@pytest.mark.parametrize(
    ("left", "right"), [(0.01, 0.01), (0.2, 0.0), (0.0, -0.1), (0.05, -0.05)]
)
def test_the_means_are_those_of_both_channels(
    tmp_path: Path, left: float, right: float
) -> None:
    wave = media.song(3.0) * 0.1 + np.array([[left], [right]], np.float32)
    media.write_wave(tmp_path / "song", wave.astype(np.float32), 44_100, "wavfloat")
    facts = measure(tmp_path / "song", LIMITS)
    expected = wave.astype(np.float32).mean(axis=1, dtype=np.float64)
    found = (facts.mean + facts.side_mean, facts.mean - facts.side_mean)
    assert found == pytest.approx(tuple(expected), abs=1e-12)


def test_the_hash_is_that_of_what_is_heard(tmp_path: Path) -> None:
    hashes = {}
    wave = np.round(media.song(1.0) * 2**15) / np.float32(2**15)
    for kind, rate in (("wav24", 44_100), ("flac", 44_100), ("wav24", 48_000)):
        path = tmp_path / f"{kind}-{rate}"
        media.write_wave(path, wave, rate, kind)
        hashes[path.name] = measure(path, LIMITS).sha256
    wave[1, -1] += 0.25
    media.write_wave(tmp_path / "other", wave, 44_100, "wav24")
    hashes["other"] = measure(tmp_path / "other", LIMITS).sha256
    assert hashes["wav24-44100"] == hashes["flac-44100"]
    assert len(set(hashes.values())) == 3


def test_a_single_sample_is_a_song(tmp_path: Path) -> None:
    media.write_wave(
        tmp_path / "song", np.full((2, 1), 0.25, np.float32), 44_100, "wavfloat"
    )
    facts = measure(tmp_path / "song", LIMITS)
    assert (facts.samples, facts.mean, facts.deviation) == (1, 0.25, 0.0)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_channels_are_those_of_the_file(tmp_path: Path, channels: int) -> None:
    media.write_song(tmp_path / "song", "flac", seconds=0.2, channels=channels)
    assert measure(tmp_path / "song", LIMITS).channels == channels


def test_a_cover_picture_does_no_harm(tmp_path: Path) -> None:
    wave = media.write_mp3_with_cover(tmp_path / "song.mp3")
    assert measure(tmp_path / "song.mp3", LIMITS).samples == wave.shape[1]


@pytest.mark.parametrize("name", media.BAD)
def test_bad_input_is_refused_with_advice(tmp_path: Path, name: str) -> None:
    suffix, write = media.BAD[name]
    path = tmp_path / f"bad{suffix}"
    write(path)
    expected = AudioTooLong if name == "silence bomb" else UnreadableAudio
    with pytest.raises(expected) as caught:
        measure(path, LIMITS)
    advice = ("Send ", "again", "Convert ", "Cut it ")
    assert any(words in caught.value.detail for words in advice)
    assert str(tmp_path) not in caught.value.detail


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
@pytest.mark.parametrize("kind", ["wavfloat", "wavdouble"])
def test_samples_that_are_no_samples_are_refused(
    tmp_path: Path, kind: str, value: float
) -> None:
    wave = media.song(1.0)
    wave[1, 40_000] = value
    media.write_wave(tmp_path / "song", wave, 44_100, kind)
    with pytest.raises(UnreadableAudio, match="not numbers"):
        measure(tmp_path / "song", LIMITS)


@pytest.mark.parametrize("kind", CUTTABLE)
@pytest.mark.parametrize("keep", [0.2, 0.6, 0.97])
def test_a_cut_file_is_refused(tmp_path: Path, kind: str, keep: float) -> None:
    path = tmp_path / f"cut{media.KINDS[kind]}"
    media.write_truncated(path, kind, keep)
    with pytest.raises(UnreadableAudio):
        measure(path, LIMITS)


@pytest.mark.parametrize("kind", [k for k in CUTTABLE if k not in UNCHECKED])
def test_a_damaged_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"damaged{media.KINDS[kind]}"
    media.write_damaged(path, kind)
    with pytest.raises(UnreadableAudio):
        measure(path, LIMITS)


def untagged_mp3(path: Path) -> bytes:
    """Return an mp3 of bare frames, with sizes that differ by at most a byte."""
    media.write_song(path, "mp3", seconds=3.0)
    data = path.read_bytes()
    frames = data[data.index(b"\xff\xfb", data.index(b"Info") + 4) :]
    path.write_bytes(frames)
    return frames


def test_an_mp3_without_a_tag_is_whole_when_its_last_frame_is(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    frames = untagged_mp3(path)
    whole = measure(path, LIMITS).samples
    assert whole > 3 * 44_100
    path.write_bytes(frames[:-100])
    with pytest.raises(UnreadableAudio, match="cut short"):
        measure(path, LIMITS)


@pytest.mark.parametrize(
    "tail",
    [
        b"TAG" + bytes(125),
        b"APETAGEX" + bytes(24) + b"Artist\0Nobody" * 9,
        bytes(5_000),
        b"Nothing to do with music. " * 200,
    ],
    ids=["id3v1", "ape", "zeros", "prose"],
)
def test_what_follows_an_mp3_does_no_harm(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "song.mp3"
    frames = untagged_mp3(path)
    whole = measure(path, LIMITS).samples
    path.write_bytes(frames + tail)
    assert measure(path, LIMITS).samples == whole


def test_what_interrupts_an_mp3_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    frames = untagged_mp3(path)
    path.write_bytes(frames[:20_001] + b"not music" * 99 + frames[20_001:])
    with pytest.raises(UnreadableAudio, match="damaged"):
        measure(path, LIMITS)


@pytest.mark.parametrize("claimed_bytes", [0xFFFF_FFFF, 0x7FFF_F000])
def test_a_wav_of_unknown_length_is_whole(tmp_path: Path, claimed_bytes: int) -> None:
    """Programs that write to a pipe can't seek back to write the length."""
    path = tmp_path / "song.wav"
    media.write_pcm_wav(path, sample_rate=44_100, claimed_bytes=claimed_bytes)
    assert measure(path, LIMITS).samples == 1_000


@pytest.mark.parametrize("claimed", [None, 0, 44_100], ids=["true", "unknown", "lie"])
def test_a_bomb_is_left_as_soon_as_it_is_too_long(
    tmp_path: Path, claimed: int | None
) -> None:
    media.write_silence_bomb(tmp_path / "bomb.flac", 2, claimed)
    with pytest.raises(AudioTooLong, match="longer than 1 minutes"):
        measure(tmp_path / "bomb.flac", AudioLimits(max_duration_seconds=60))


def test_a_song_as_long_as_the_limit_is_taken(tmp_path: Path) -> None:
    media.write_song(tmp_path / "song", seconds=2.0)
    assert measure(tmp_path / "song", AudioLimits(2.0)).samples == 88_200
    with pytest.raises(AudioTooLong):
        measure(tmp_path / "song", AudioLimits(1.99))


@pytest.mark.parametrize(("rate", "taken"), [(3_999, False), (4_000, True)])
def test_low_rates_have_a_limit(tmp_path: Path, rate: int, taken: bool) -> None:
    media.write_pcm_wav(tmp_path / "song.wav", sample_rate=rate)
    if taken:
        assert measure(tmp_path / "song.wav", LIMITS).sample_rate == rate
    else:
        with pytest.raises(UnreadableAudio, match="3999 Hz"):
            measure(tmp_path / "song.wav", LIMITS)


def test_memory_does_not_grow_with_the_song(tmp_path: Path) -> None:
    def peak_bytes(hours: float) -> int:
        media.write_silence_bomb(tmp_path / "song.flac", hours)
        tracemalloc.start()
        measure(tmp_path / "song.flac", LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(0.002)
    assert peak_bytes(0.03) < 1.1 * peak_bytes(0.005)


@pytest.mark.parametrize("kind", media.KINDS)
def test_garbled_headers_raise_nothing_but_our_errors(
    tmp_path: Path, kind: str
) -> None:
    """For any bytes, the result is facts, or an error that says what to do."""
    path = tmp_path / f"song{media.KINDS[kind]}"
    media.write_song(path, kind, seconds=0.3)
    whole = path.read_bytes()
    random = np.random.default_rng(7)
    for _ in range(25):
        data = bytearray(whole)
        reach = min(len(data), 600) if random.random() < 0.7 else len(data)
        for position in random.integers(0, reach, size=random.integers(1, 12)):
            data[position] = random.integers(0, 256)
        path.write_bytes(data[: random.integers(1, len(data) + 1)])
        try:
            facts = measure(path, AudioLimits(60))
        except (UnreadableAudio, AudioTooLong):
            continue
        assert facts.samples > 0


@pytest.mark.parametrize(
    "write", [media.write_zero_hertz, media.write_no_samples, media.write_garbage]
)
def test_the_next_song_is_not_the_worse_for_it(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "bad")
    with pytest.raises(UnreadableAudio):
        measure(tmp_path / "bad", LIMITS)
    media.write_song(tmp_path / "song", seconds=0.2)
    assert measure(tmp_path / "song", LIMITS).samples == 8_820
