"""`stemserve models` lists models and downloads weights from a mirror."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.cli import models as catalogue
from serve_app.separation.models import REGISTRY, WeightsSource, find
from serve_app.stems import beats

PUBLISHED = "hdemucs_high_musdb"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSERVE_WEIGHTS_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("STEMSERVE_WEIGHTS_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "cache"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror with the weights of one model; their content is arbitrary."""
    directory = tmp_path / "mirror"
    directory.mkdir()
    (directory / find(PUBLISHED).weights.filename).write_bytes(b"weights")
    return directory


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


def listed() -> dict[str, dict[str, Any]]:
    entries = json.loads(run("list", "--json").stdout)
    return {entry["name"]: entry for entry in entries}


def test_every_model_is_listed_with_its_licence_and_training_data() -> None:
    assert set(listed()) == set(REGISTRY)
    for name, entry in listed().items():
        assert entry["licence"] == REGISTRY[name].licence
        assert entry["licences"] == asdict(REGISTRY[name].licences)
        assert entry["refusal"] is None
        assert entry["trained_on"] == REGISTRY[name].trained_on


def test_people_get_names_that_are_not_cut() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in REGISTRY)


def test_people_get_the_licences_of_code_weights_and_training_data() -> None:
    shown = " ".join(run("list").stdout.split())
    for part in ("licence of the code", "of the weights", "of the training data"):
        assert shown.count(part) == len(REGISTRY), part
    assert "LicenseRef-research-only" in shown
    assert "not allowed" not in shown


@pytest.mark.usefixtures("mirror")
def test_models_that_are_not_allowed_are_marked_and_not_pulled(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("STEMSERVE_ALLOWED_LICENCES", "permissive")
    refused = {name for name, entry in listed().items() if entry["refusal"]}
    assert refused == set(REGISTRY) - {"demo"}
    shown = run("list").stdout
    assert shown.count("not allowed") == len(refused)
    assert "STEMSERVE_ALLOWED_LICENCES=permissive" in shown
    result = run("pull", PUBLISHED)
    assert result.exit_code == 1
    assert "STEMSERVE_ALLOWED_LICENCES" in result.stderr
    assert not cache.exists()


@pytest.mark.usefixtures("mirror")
def test_what_was_pulled_is_in_the_cache(cache: Path) -> None:
    assert listed()[PUBLISHED]["weights"] == "weights not fetched"
    result = run("pull", PUBLISHED)
    assert result.exit_code == 0
    path = cache / find(PUBLISHED).weights.filename
    assert result.stdout.strip() == str(path)
    assert path.read_bytes() == b"weights"
    assert listed()[PUBLISHED]["weights"] == "weights in the cache"


def test_what_hears_beats_is_pulled_too_and_is_no_model(
    mirror: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights must have the pinned hash."""
    (mirror / "final0.ckpt").write_bytes(b"weights")
    result = run("pull", "beat-this")
    assert result.exit_code == 1
    assert "SHA-256" in result.stderr
    source = WeightsSource("https://unreachable.invalid/final0.ckpt")
    known = {"beat-this": beats.Checkpoint("beat-this", source)}
    monkeypatch.setattr(catalogue, "CHECKPOINTS", known)
    assert run("pull", "beat-this").stdout.strip() == str(cache / "final0.ckpt")
    assert "beat-this" not in listed()


def test_an_unknown_model_is_told_with_all_that_can_be_pulled() -> None:
    result = run("pull", "htdemuks")
    assert result.exit_code == 1
    choices = result.stderr.partition("Choose one of: ")[2]
    assert {PUBLISHED, "beat-this", "beat-this-small"} <= set(
        choices.strip().rstrip(".").split(", ")
    )


def test_weights_that_can_not_be_had_are_told() -> None:
    result = run("pull", PUBLISHED)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.output


def test_an_unknown_model_is_told_with_the_choices() -> None:
    result = run("pull", "nix")
    assert result.exit_code == 1
    assert all(name in result.stderr for name in REGISTRY)
