"""Stems as sums of a model's sources."""

import numpy as np

from serve_app.stems.mixing import mixed, stem_sources

SOURCES = ("drums", "bass", "other", "vocals")


def test_stems_are_sources_in_the_order_asked_for() -> None:
    parts = stem_sources(SOURCES, ("vocals", "drums"))
    assert parts == ((3,), (0,))
    block = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)
    np.testing.assert_array_equal(mixed(block, parts), block[[3, 0]])


def test_the_accompaniment_is_the_sum_of_all_but_the_vocals() -> None:
    parts = stem_sources(SOURCES, ("vocals", "accompaniment"))
    block = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)
    vocals, rest = mixed(block, parts)
    np.testing.assert_array_equal(vocals, block[3])
    np.testing.assert_array_equal(rest, block[:3].sum(axis=0))


def test_a_model_s_own_stems_are_not_copied() -> None:
    block = np.zeros((4, 2, 3), np.float32)
    assert mixed(block, stem_sources(SOURCES, SOURCES)) is block
