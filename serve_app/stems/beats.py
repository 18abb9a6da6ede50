"""The engine that finds beats, by the settings: the built-in one, or Beat This."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from serve_app.separation.models import WeightsSource
from serve_app.settings import Settings
from serve_app.settings.stems import BUILT_IN

if TYPE_CHECKING:
    from serve_app.analysis.network import Engine
    from serve_app.analysis.song import SongListener

ListenerMaker = Callable[[int, Sequence[float]], "SongListener"]

_PUBLISHED = "https://cloud.cp.jku.at/public.php/dav/files/7ik4RrBKTS273gp"


@dataclass(frozen=True)
class Checkpoint:
    """Published weights of Beat This, under their name in the settings."""

    name: str
    weights: WeightsSource


# The hashes are those that nixpkgs pins. MIT: https://github.com/CPJKU/beat_this/issues/16
CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType(
    {
        "beat-this": Checkpoint(
            "beat-this",
            WeightsSource(
                f"{_PUBLISHED}/final0.ckpt",
                "8c328b45f59d8dd3dff219253ff6a8d6482be57d0133a29140e2febbf8eb8331",
            ),
        ),
        "beat-this-small": Checkpoint(
            "beat-this-small",
            WeightsSource(
                f"{_PUBLISHED}/small0.ckpt",
                "6074be2c4d490c5f6101fcc374a1ec72ae93456e23bb6019783b849f5dc7d47b",
            ),
        ),
    }
)


def engine_maker(settings: Settings) -> "Callable[[], Engine]":
    """Return the factory of each song's engine; load the shared weights now.

    Raises WeightsUnavailable when the weights can't be fetched, or are not valid.
    """
    if settings.beats == BUILT_IN:
        from serve_app.analysis.network import NetworkEngine

        return NetworkEngine
    # Imported late: these load torch, which analysis does not need otherwise.
    from serve_app.analysis import beat_this
    from serve_app.stems.engines import weights_cache

    path = weights_cache(settings).pull(CHECKPOINTS[settings.beats])
    return partial(beat_this.BeatThisEngine, beat_this.load(path))


def listener_maker(settings: Settings) -> ListenerMaker:
    """Return the factory of listeners for `reporter.heard`.

    Raises as `engine_maker` does.
    """
    from serve_app.analysis.song import SongListener

    return partial(SongListener, make_engine=engine_maker(settings))
