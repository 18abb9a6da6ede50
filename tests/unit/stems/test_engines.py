"""Engines made from settings: the pinned model or none, `auto` or the demo."""

import logging
from pathlib import Path

import pytest

from serve_app.errors import InvalidInput, WeightsUnavailable
from serve_app.settings import Settings
from serve_app.stems.engines import EngineShelf, load_engine, resolve

PUBLISHED = "hdemucs_high_musdb_plus"


def settings(tmp_path: Path, model: str) -> Settings:
    """Describe a machine that can't reach any weights but those in the box."""
    return Settings(
        model=model,
        threads=1,
        device="cpu",
        weights_dir=tmp_path / "weights",
        weights_mirror=str(tmp_path / "empty"),
    )


def test_a_pinned_model_that_cannot_be_loaded_fails_the_start(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable):
        EngineShelf(settings(tmp_path, PUBLISHED))


def test_an_unknown_model_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=PUBLISHED):
        load_engine(settings(tmp_path, "demucs9"), "demucs9")


def test_auto_without_weights_is_the_demo_and_says_how_to_get_the_real_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        spec = resolve(settings(tmp_path, "auto"), "auto")
    assert spec.name == "demo"
    assert f"stemserve models pull {PUBLISHED}" in caplog.text


def test_auto_with_weights_in_the_cache_is_the_published_model(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "hdemucs_high_trained.pt").write_bytes(b"not looked into yet")
    assert resolve(settings(tmp_path, "auto"), "auto").name == PUBLISHED


def test_a_model_whose_weights_are_not_allowed_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "hdemucs_high_trained.pt").write_bytes(b"not looked into")
    allowed = settings(tmp_path, "auto").model_copy(
        update={"allowed_licences": "permissive"}
    )
    assert resolve(allowed, "auto").name == "demo"
    assert resolve(allowed, "demo").name == "demo"
    with pytest.raises(InvalidInput, match="STEMSERVE_ALLOWED_LICENCES"):
        load_engine(allowed, PUBLISHED)


def test_the_shelf_loads_each_model_once(tmp_path: Path) -> None:
    shelf = EngineShelf(settings(tmp_path, "auto"))
    try:
        assert shelf.get("auto") is shelf.get("demo") is shelf.default
    finally:
        shelf.close()
