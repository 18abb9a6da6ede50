"""A song's offset is in its sources' sum once, and no source starts with a pop."""

from collections.abc import Iterator

import numpy as np
import pytest

from serve_app.separation.level import Level, Samples, normalised, restored

SOURCES, SAMPLES = 4, 30_000
# Left and right.
OFFSETS = {
    "small": (0.01, 0.01),
    "large": (0.2, 0.2),
    "left only": (0.02, 0.0),
    "right only": (0.0, -0.02),
    "opposite": (0.05, -0.05),
    "unlike": (0.1, -0.03),
}


def music(samples: int = SAMPLES) -> Samples:
    """Return noise without offset, different in each channel."""
    noise = np.random.default_rng(5).standard_normal((2, samples)) * 0.1
    return (noise - noise.mean(axis=1, keepdims=True)).astype(np.float32)


def measured(mix: Samples) -> Level:
    left, right = mix.mean(axis=1, dtype=np.float64)
    deviation = float(mix.mean(axis=0).std())
    return Level(float(left + right) / 2, deviation, float(left - right) / 2)


def in_blocks(samples: Samples, size: int) -> Iterator[Samples]:
    for start in range(0, samples.shape[-1], size):
        yield samples[..., start : start + size].copy()


def separated(
    mix: Samples, shares: tuple[float, ...], level: Level | None = None
) -> Samples:
    """Return the output of a network that gives each source its share."""
    level = level or measured(mix)
    (inner,) = normalised([mix], level)
    sources = inner * np.array(shares, np.float32)[:, None, None]
    return np.concatenate(list(restored(in_blocks(sources, 12_000), level)), axis=-1)


EQUAL, BY_LOUDNESS, TO_ONE = (0.25,) * 4, (0.1, 0.2, 0.6, 0.1), (0.0, 0.0, 1.0, 0.0)
SHARES = (EQUAL, BY_LOUDNESS, TO_ONE, (-0.1, 0.3, 0.9, -0.1))


@pytest.mark.parametrize("offset", OFFSETS.values(), ids=OFFSETS)
@pytest.mark.parametrize("shares", SHARES)
def test_an_offset_is_in_the_sum_once(
    offset: tuple[float, float], shares: tuple[float, ...]
) -> None:
    mix = music() + np.array(offset, np.float32)[:, None]
    sources = separated(mix, shares)
    np.testing.assert_allclose(sources.sum(axis=0), mix, rtol=0, atol=1e-6)
    # No source has more of it than the song has.
    assert (np.abs(sources.mean(axis=-1)) <= np.abs(offset) + 1e-6).all()


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_an_offset_is_shared_by_however_many_sources_there_are(count: int) -> None:
    mix = music() + np.float32(0.1)
    sources = separated(mix, (1 / count,) * count)
    assert len(sources) == count
    np.testing.assert_allclose(sources.sum(axis=0), mix, rtol=0, atol=1e-6)


@pytest.mark.parametrize("offset", OFFSETS.values(), ids=OFFSETS)
def test_the_network_hears_no_offset_in_either_channel(
    offset: tuple[float, float],
) -> None:
    mix = music() + np.array(offset, np.float32)[:, None]
    (inner,) = normalised([mix], measured(mix))
    np.testing.assert_allclose(inner.mean(axis=1), 0, atol=1e-5)
    assert inner.mean(axis=0).std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("offset", OFFSETS.values(), ids=OFFSETS)
@pytest.mark.parametrize("shares", SHARES)
def test_a_song_that_fades_in_on_its_offset_starts_each_source_with_less(
    offset: tuple[float, float], shares: tuple[float, ...]
) -> None:
    mix = music() * np.linspace(0, 1, SAMPLES, dtype=np.float32)
    mix -= mix.mean(axis=1, keepdims=True)
    mix += np.array(offset, np.float32)[:, None]
    sources = separated(mix, shares)
    steps = np.abs(sources[..., 0])
    assert steps.max() <= np.abs(mix[:, 0]).max() / 4 + 1e-6


@pytest.mark.parametrize("offset", OFFSETS.values(), ids=OFFSETS)
@pytest.mark.parametrize("shares", SHARES)
def test_a_song_that_starts_in_silence_has_silent_sources_there(
    offset: tuple[float, float], shares: tuple[float, ...]
) -> None:
    silent = 10_000
    mix = music() + np.array(offset, np.float32)[:, None]
    mix[:, :silent] = 0
    sources = separated(mix, shares)
    assert np.abs(sources[..., :silent]).max() < 1e-6
    np.testing.assert_allclose(sources.sum(axis=0), mix, rtol=0, atol=1e-6)


def test_first_samples_that_lie_off_the_rest_make_no_pop() -> None:
    """A network's output for constant input fluctuates at its start."""
    level = Level(0.1, 0.1)
    sources = np.zeros((SOURCES, 2, SAMPLES), np.float32)
    sources[0] = -1.0
    wavering = np.exp(-np.arange(SAMPLES, dtype=np.float32) / 200)
    sources[0] += 0.3 * wavering
    sources[1] -= 0.3 * wavering
    (found,) = restored([sources], level)
    assert np.abs(found[..., 0]).max() < 1e-6
    assert np.abs(np.diff(found, axis=-1)).max() < 0.1 * 0.3 / 100
    assert np.abs(found[..., 4_000:]).max() < 5e-3
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 2_047, 2_048, 2_049, 8_191, 8_193])
def test_a_song_of_any_length_gets_its_offset_back(samples: int) -> None:
    mix = music(samples) + np.float32(0.1)
    sources = separated(mix, BY_LOUDNESS, Level(0.1, 0.1))
    np.testing.assert_allclose(sources.sum(axis=0), mix, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gain", [1.0, 1e-5, 1e-7, 1e-9])
def test_a_very_quiet_song_keeps_its_level(gain: float) -> None:
    mix = music() * np.float32(gain)
    sources = separated(mix, BY_LOUDNESS)
    np.testing.assert_allclose(sources.sum(axis=0), mix, rtol=0, atol=1e-5 * gain)


@pytest.mark.parametrize("value", [0.0, 0.25, -0.1])
def test_silence_and_a_constant_come_back(value: float) -> None:
    mix = np.full((2, 100), value, np.float32)
    sources = separated(mix, BY_LOUDNESS, Level(float(np.float32(value)), 0.0))
    np.testing.assert_allclose(sources.sum(axis=0), mix, rtol=0, atol=1e-7)
    assert np.abs(sources).max() <= abs(value)


@pytest.mark.parametrize(
    "level", [(np.nan, 1.0, 0.0), (0.0, np.inf, 0.0), (0.0, 1.0, np.nan), (0, -1.0, 0)]
)
def test_a_level_that_cannot_be_is_refused(level: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        Level(*level)
