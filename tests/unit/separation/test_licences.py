"""The models' licences, and the models served if only permissive ones are allowed."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from serve_app.separation import licences
from serve_app.separation.licences import BY_MODEL, PERMISSIVE, Licence, Licences

ROOT = Path(__file__).parents[3]
RESTRICTED = sorted(set(BY_MODEL) - {"demo"})


def of_weights(name: str) -> Licences:
    return replace(BY_MODEL["demo"], weights=Licence(name, "", ""))


@pytest.mark.parametrize("model", BY_MODEL)
def test_each_licence_has_a_name_a_sentence_and_a_source(model: str) -> None:
    for field in fields(BY_MODEL[model]):
        licence: Licence = getattr(BY_MODEL[model], field.name)
        assert licence.name
        assert licence.summary.endswith(".")
        assert licence.url.startswith("https://") or (ROOT / licence.url).is_file()


@pytest.mark.parametrize("model", RESTRICTED)
def test_the_weights_of_the_demucs_authors_are_not_under_mit(model: str) -> None:
    weights = BY_MODEL[model].weights
    assert weights.name == "LicenseRef-research-only"
    assert "facebookresearch/demucs/issues" in weights.url
    assert "MIT" in BY_MODEL[model].code.name
    assert "MUSDB18-HQ" in BY_MODEL[model].training_data.name
    assert weights.name in str(BY_MODEL[model])


def test_the_demos_weights_are_ours() -> None:
    assert BY_MODEL["demo"].weights.name == "MIT"


@pytest.mark.parametrize("model", BY_MODEL)
def test_all_are_served_where_any_licence_is_allowed(model: str) -> None:
    assert licences.refusal(model, BY_MODEL[model], "any") is None


@pytest.mark.parametrize("name", sorted(PERMISSIVE))
def test_permissive_weights_are_served(name: str) -> None:
    assert licences.refusal("new", of_weights(name), "permissive") is None


@pytest.mark.parametrize(
    "name", ["LicenseRef-research-only", "CC-BY-NC-4.0", "GPL-3.0-only", "", "mit "]
)
def test_all_others_are_refused_with_the_way_out(name: str) -> None:
    said = licences.refusal("new", of_weights(name), "permissive")
    assert said is not None
    for part in ("'new'", name, "STEMSERVE_ALLOWED_LICENCES=permissive", "demo"):
        assert part in said
    assert "hdemucs" not in said
