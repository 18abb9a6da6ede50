import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from serve_app.errors import InvalidInput, WeightsUnavailable
from serve_app.separation.models import (
    FOR_LOAD_TESTS,
    REGISTRY,
    ModelSpec,
    Progress,
    check_allowed,
    find,
    resolve_auto,
)
from serve_app.separation.weights import WeightsCache, load

BEST = "hdemucs_high_musdb_plus"


@dataclass
class FakeWeights:
    """Weights that are cached, downloadable, or neither."""

    here: bool = False
    reachable: bool = False
    pulled: list[str] = field(default_factory=list)

    def path(self, spec: ModelSpec) -> Path | None:
        return Path(spec.weights.filename) if self.here else None

    def pull(self, spec: ModelSpec, progress: Progress | None = None) -> Path:
        if not self.reachable:
            raise WeightsUnavailable("no connection within 5 s.")
        self.pulled.append(spec.name)
        if progress is not None:
            progress(1, 1)
        return Path(spec.weights.filename)


def test_the_registry_has_the_published_models_and_the_demo() -> None:
    ours = [name for name, spec in REGISTRY.items() if spec.needs is None]
    assert ours == [BEST, "hdemucs_high_musdb", "demo"]
    assert all(spec.name == name for name, spec in REGISTRY.items())


@pytest.mark.parametrize("name", REGISTRY)
def test_every_model_says_what_it_is(name: str) -> None:
    spec = find(name)
    assert spec.sources == ("drums", "bass", "other", "vocals")
    assert spec.sample_rate == 44_100
    assert 7 < spec.window.window_samples / spec.sample_rate < 10
    assert 0.4 < spec.window.overlap_samples / spec.sample_rate < 1
    assert spec.licence == str(spec.licences)
    assert spec.trained_on
    assert spec.description


def test_published_weights_lie_where_torchaudio_looks_for_them() -> None:
    assert find(BEST).weights.address == (
        "https://download.pytorch.org/torchaudio/models/hdemucs_high_trained.pt"
    )
    assert find("hdemucs_high_musdb").weights.address == (
        "https://download.pytorch.org/torchaudio/models/hdemucs_high_musdbhq_only.pt"
    )


def test_the_demo_says_that_it_is_one() -> None:
    demo = find("demo")
    assert demo.weights.is_bundled
    assert demo.licences.weights.name == "MIT"
    assert "weights MIT" in demo.licence
    assert demo.trained_on == "synthetic music, for trying the system out"


@pytest.mark.parametrize("name", ["", "Demo", "../demo", "auto"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{BEST}, hdemucs_high_musdb, demo"):
        find(name)


def test_models_are_listed_without_loading_torch() -> None:
    check = (
        "import sys, serve_app.separation.models, serve_app.separation.weights;"
        "assert not {'torch', 'torchaudio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_auto_takes_the_best_weights_that_are_here() -> None:
    weights = FakeWeights(here=True)
    assert resolve_auto(weights) == (find(BEST), None)
    assert weights.pulled == []


def test_auto_fetches_the_best_weights_if_it_can() -> None:
    weights = FakeWeights(reachable=True)
    seen: list[tuple[int, int | None]] = []
    chosen = resolve_auto(weights, lambda done, total: seen.append((done, total)))
    assert chosen == (find(BEST), None)
    assert weights.pulled == [BEST]
    assert seen == [(1, 1)]


def test_auto_falls_back_to_the_demo_and_says_how_to_get_the_best() -> None:
    spec, warning = resolve_auto(FakeWeights())
    assert spec.name == "demo"
    assert warning is not None
    assert "trained on synthetic music" in warning
    assert "no connection within 5 s." in warning
    assert f"stemserve models pull {BEST}" in warning


@pytest.mark.parametrize("weights", [FakeWeights(here=True), FakeWeights(), None])
def test_auto_never_takes_what_is_not_allowed(weights: FakeWeights | None) -> None:
    weights = weights or FakeWeights(reachable=True)
    spec, warning = resolve_auto(weights, allowed="permissive")
    assert spec.name == "demo"
    assert weights.pulled == []
    assert warning is not None
    assert BEST in warning
    assert "STEMSERVE_ALLOWED_LICENCES" in warning


@pytest.mark.parametrize("name", sorted(set(REGISTRY) - {"demo"}))
def test_a_model_that_is_not_allowed_is_refused(name: str) -> None:
    check_allowed(find(name), "any")
    check_allowed(find("demo"), "permissive")
    with pytest.raises(InvalidInput, match=f"{name}.*research-only.*demo"):
        check_allowed(find(name), "permissive")


def test_the_model_for_load_tests_divides_the_mix_and_is_no_one_s_choice() -> None:
    assert FOR_LOAD_TESTS.name not in REGISTRY
    assert find(FOR_LOAD_TESTS.name) is FOR_LOAD_TESTS
    path = WeightsCache(Path("unused")).pull(FOR_LOAD_TESTS)
    network = load(FOR_LOAD_TESTS, path)
    mix = torch.rand(3, 2, 64)
    stems = network(mix)
    assert stems.shape == (3, 4, 2, 64)
    torch.testing.assert_close(stems.sum(dim=1), mix)
