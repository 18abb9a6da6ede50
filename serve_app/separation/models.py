"""The available models. Torch is imported only when a network is created."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from serve_app.errors import InvalidInput, WeightsUnavailable
from serve_app.separation import licences
from serve_app.separation.licences import Allowed, Licences
from serve_app.separation.windows import WindowSpec

if TYPE_CHECKING:
    from torch.nn import Module

Progress = Callable[[int, int | None], None]

_FOUR_SOURCES = ("drums", "bass", "other", "vocals")
# 7.76 s, the most on the grid within the transformer's training length, and 0.93 s.
_TRANSFORMER_WINDOW = WindowSpec(window_samples=342_016, overlap_samples=40_960)
# 9.29 s and 0.46 s. Of the lengths on the grid, this one and 307200 cost least per
# second of audio; the network's error reaches its plateau 0.25 to 0.5 s from an edge.
_WINDOW = WindowSpec(window_samples=409_600, overlap_samples=20_480)
_PUBLISHED = "https://download.pytorch.org/torchaudio/models"
_BEST, _DEMO = "hdemucs_high_musdb_plus", "demo"


@dataclass(frozen=True)
class WeightsSource:
    """The source of weights: a URL, or the name of a file in `assets/`.

    With `sha256` the file must have that hash. Without it, the first download's hash is
    recorded, and the file must have that one from then on.
    """

    address: str
    sha256: str | None = None

    @property
    def is_bundled(self) -> bool:
        """Whether the file is bundled with the package."""
        return "://" not in self.address

    @property
    def filename(self) -> str:
        """The file's name: the last segment of the address."""
        return self.address.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class ModelSpec:
    """A model: its sources, its network and its weights.

    `make` takes the sources and returns an untrained network that maps mixes
    (batch, 2, window) to stems (batch, source, 2, window). A model that `needs` a
    package is available if that is installed.
    """

    name: str
    sources: tuple[str, ...]
    sample_rate: int
    window: WindowSpec
    make: Callable[[tuple[str, ...]], "Module"]
    weights: WeightsSource
    licences: Licences
    trained_on: str
    description: str
    needs: str | None = None

    @property
    def licence(self) -> str:
        """The licences' names in one line."""
        return str(self.licences)


class Weighted(Protocol):
    """Anything with a name and weights: a model here, or a network elsewhere."""

    @property
    def name(self) -> str:
        """The name that users see."""

    @property
    def weights(self) -> WeightsSource:
        """The source of the weights."""


class Weights(Protocol):
    """The methods of a weights cache that `resolve_auto` needs."""

    def path(self, spec: ModelSpec) -> Path | None:
        """Return the file of `spec`'s weights, or None."""

    def pull(self, spec: ModelSpec, progress: Progress | None = None) -> Path:
        """Download `spec`'s weights; WeightsUnavailable if that fails."""


def find(name: str) -> ModelSpec:
    """Return the model called `name`; InvalidInput, with the choices, if unknown."""
    if name == FOR_LOAD_TESTS.name:
        return FOR_LOAD_TESTS
    try:
        return REGISTRY[name]
    except KeyError:
        names = ", ".join(REGISTRY)
        raise InvalidInput(
            f"There is no model {name!r}. Choose one of: {names}."
        ) from None


def check_allowed(spec: ModelSpec, allowed: Allowed) -> None:
    """Raise InvalidInput with the reason unless `spec`'s weights may be used."""
    if refusal := licences.refusal(spec.name, spec.licences, allowed):
        raise InvalidInput(refusal)


def auto_candidates(allowed: Allowed = "any") -> tuple[ModelSpec, ...]:
    """Return the models that `auto` may select, best first."""
    specs = (REGISTRY[_BEST], REGISTRY[_DEMO])
    return tuple(spec for spec in specs if licences.is_allowed(spec.licences, allowed))


def resolve_auto(
    weights: Weights, progress: Progress | None = None, allowed: Allowed = "any"
) -> tuple[ModelSpec, str | None]:
    """Return the best available model and, if it is the demo, a warning.

    Downloads the published weights if they are not cached.
    """
    best, demo = REGISTRY[_BEST], REGISTRY[_DEMO]
    if refusal := licences.refusal(best.name, best.licences, allowed):
        return demo, _demo_warning(refusal)
    if weights.path(best) is not None:
        return best, None
    try:
        weights.pull(best, progress)
    except WeightsUnavailable as err:
        return demo, _demo_warning(
            f"The weights of '{best.name}' can't be downloaded: {err.detail} "
            f"When `stemserve models pull {best.name}` has succeeded, restart."
        )
    return best, None


def _demo_warning(reason: str) -> str:
    return (
        "Using the model 'demo', trained on synthetic music: it is only for trying "
        f"the system out. {reason}"
    )


def _make_high(sources: tuple[str, ...]) -> "Module":
    from serve_app.separation import networks

    network: Module = networks.high(sources)
    return network


def _make_demo(sources: tuple[str, ...]) -> "Module":
    from serve_app.separation import networks

    network: Module = networks.demo(sources)
    return network


def _make_passthrough(sources: tuple[str, ...]) -> "Module":
    from serve_app.separation import networks

    return networks.passthrough(sources)


def _make_htdemucs(sources: tuple[str, ...]) -> "Module":
    from serve_app.separation import transformer

    network: Module = transformer.htdemucs(sources)
    return network


def _published(name: str, filename: str, trained_on: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        sources=_FOUR_SOURCES,
        sample_rate=44_100,
        window=_WINDOW,
        make=_make_high,
        weights=WeightsSource(f"{_PUBLISHED}/{filename}"),
        licences=licences.BY_MODEL[name],
        trained_on=trained_on,
        description="Hybrid Demucs, 84 million parameters, weights of torchaudio",
    )


_MODELS = (
    # The training data are as in torchaudio's documentation of its bundles.
    _published(
        _BEST,
        "hdemucs_high_trained.pt",
        "training and test sets of MUSDB18-HQ, and 150 songs produced for Meta",
    ),
    _published(
        "hdemucs_high_musdb",
        "hdemucs_high_musdbhq_only.pt",
        "training set of MUSDB18-HQ",
    ),
    ModelSpec(
        name=_DEMO,
        sources=_FOUR_SOURCES,
        sample_rate=44_100,
        window=_WINDOW,
        make=_make_demo,
        weights=WeightsSource("demo.safetensors"),
        licences=licences.BY_MODEL[_DEMO],
        trained_on="synthetic music, for trying the system out",
        description="Hybrid Demucs, small, with weights that come with the package",
    ),
    ModelSpec(
        name="htdemucs",
        sources=_FOUR_SOURCES,
        sample_rate=44_100,
        window=_TRANSFORMER_WINDOW,
        make=_make_htdemucs,
        weights=WeightsSource(
            "https://huggingface.co/adefossez/HTDemucs/resolve/main/955717e8.safetensors"
        ),
        licences=licences.BY_MODEL["htdemucs"],
        trained_on="MUSDB18-HQ, and 800 songs of Meta's",
        description="Hybrid Transformer Demucs, 42 million parameters, of demucs 4",
        needs="demucs",
    ),
)

REGISTRY: Mapping[str, ModelSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in _MODELS
        if spec.needs is None or find_spec(spec.needs) is not None
    }
)

# Not in the registry: clients can't choose it, unless it is the server's default.
FOR_LOAD_TESTS = ModelSpec(
    name="passthrough",
    sources=_FOUR_SOURCES,
    sample_rate=44_100,
    window=_WINDOW,
    make=_make_passthrough,
    weights=WeightsSource("passthrough.safetensors"),
    licences=licences.NONE_NEEDED,
    trained_on="nothing: it has no weights",
    description="A quarter of the mix for each stem, for load tests",
)
