"""The models' licences: of code, of weights and of training data.

Names are SPDX identifiers if there is one; a `LicenseRef-` is not on SPDX's list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Allowed = Literal["any", "permissive"]
VARIABLE = "STEMSERVE_ALLOWED_LICENCES"

# The licences that count as permissive.
PERMISSIVE = frozenset(
    ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0")
)


@dataclass(frozen=True)
class Licence:
    """A licence: name, meaning for the model, source (a URL or a repository's file)."""

    name: str
    summary: str
    url: str


@dataclass(frozen=True)
class Licences:
    """The licences of a model; as a string, their names."""

    code: Licence
    weights: Licence
    training_data: Licence

    def __str__(self) -> str:
        """Return all three names."""
        return (
            f"code {self.code.name}; weights {self.weights.name}; "
            f"training data {self.training_data.name}"
        )


def of(model: str) -> Licences | None:
    """Return the licences of the model called `model`, or None if it is unknown."""
    return BY_MODEL.get(model)


def is_allowed(licences: Licences | None, allowed: Allowed) -> bool:
    """Whether a model may be served under the policy `allowed`; its weights decide.

    A model with unknown licences may be served only under `any`.
    """
    if allowed == "any":
        return True
    return licences is not None and licences.weights.name in PERMISSIVE


def refusal(model: str, licences: Licences, allowed: Allowed) -> str | None:
    """Return why a model is not served, and what to do; None if it is served."""
    if is_allowed(licences, allowed):
        return None
    choices = ", ".join(
        name for name, others in BY_MODEL.items() if is_allowed(others, allowed)
    )
    return (
        f"The model {model!r} is not served here: its weights have the licence "
        f"{licences.weights.name}, and {VARIABLE}={allowed} allows only permissive "
        f"licences. Choose one of: {choices}. Or ask the operator to unset {VARIABLE}."
    )


_OURS = Licence("MIT", "stemserve's own, under its licence.", "LICENSE")
_TORCHAUDIO_CODE = Licence(
    "MIT AND BSD-2-Clause",
    "The network is torchaudio's (BSD-2-Clause); the code around it is stemserve's "
    "(MIT).",
    "https://github.com/pytorch/audio/blob/main/LICENSE",
)
_TORCHAUDIO_WEIGHTS = Licence(
    "LicenseRef-research-only",
    "Their author says that the MIT licence of his code does not cover them and that "
    "they are provided only for scientific purposes. torchaudio, which publishes them, "
    "states no licence and leaves it to you to determine whether you may use them.",
    "https://github.com/facebookresearch/demucs/issues/327",
)
_MUSDB = Licence(
    "LicenseRef-MUSDB18-HQ",
    "MUSDB18-HQ: for academic purposes only; each track also has its own licence.",
    "https://sigsep.github.io/datasets/musdb.html",
)


def _musdb_and(songs: str) -> Licence:
    return Licence(
        "LicenseRef-MUSDB18-HQ AND LicenseRef-unpublished",
        f"{_MUSDB.summary} And {songs}, which are not published.",
        _MUSDB.url,
    )


BY_MODEL: Mapping[str, Licences] = MappingProxyType(
    {
        "hdemucs_high_musdb_plus": Licences(
            code=_TORCHAUDIO_CODE,
            weights=_TORCHAUDIO_WEIGHTS,
            training_data=_musdb_and("150 songs produced for Meta"),
        ),
        "hdemucs_high_musdb": Licences(
            code=_TORCHAUDIO_CODE,
            weights=_TORCHAUDIO_WEIGHTS,
            training_data=_MUSDB,
        ),
        "demo": Licences(
            code=_TORCHAUDIO_CODE,
            weights=_OURS,
            training_data=Licence(
                "MIT AND BSD-3-Clause AND CC-BY-SA-4.0",
                "Synthetic music made by stemserve's tools: from random seeds and from "
                "the music of Freedoom (BSD-3-Clause), played with soundfonts under "
                "MIT, under CC BY-SA 4.0 and in the public domain.",
                "docs/demo-model.md",
            ),
        ),
        "htdemucs": Licences(
            code=Licence(
                "MIT",
                "The network is that of the package demucs; the code around it is "
                "stemserve's.",
                "https://github.com/adefossez/demucs/blob/main/LICENSE",
            ),
            weights=Licence(
                "LicenseRef-research-only",
                "Their author says that they are provided for research purposes. His "
                "copy on the Hugging Face Hub, which stemserve downloads, is tagged "
                "MIT. As long as the two differ, they count as for research only.",
                "https://github.com/facebookresearch/demucs/issues/508",
            ),
            training_data=_musdb_and("800 songs of Meta's"),
        ),
    }
)

_NOTHING = Licence("MIT", "There are no weights and no training data.", "LICENSE")
# Of a model that has neither.
NONE_NEEDED = Licences(code=_OURS, weights=_NOTHING, training_data=_NOTHING)
