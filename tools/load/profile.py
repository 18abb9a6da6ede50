"""The load to make: how many clients do what, read from a YAML file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Uploads(_Section):
    """Songs to send, at this rate whether or not the server keeps up.

    With `random` at times of a Poisson process, songs of several lengths up to
    `song_seconds`; else at a constant rate, always the same song.
    """

    per_second: float = Field(default=1.0, gt=0)
    song_seconds: float = Field(default=30.0, gt=0, le=3600)
    format: Literal["mp3", "wav", "flac"] = "mp3"
    random: bool = False


class Polls(_Section):
    """Clients that request a job, `period_seconds` after they did so before."""

    clients: int = Field(default=0, ge=0)
    period_seconds: float = Field(default=2.0, gt=0)


class Events(_Section):
    """Clients that follow the events of a job to its end, and then of another one."""

    clients: int = Field(default=0, ge=0)


class Downloads(_Section):
    """Clients that download all stems of a finished job, and then of another one."""

    clients: int = Field(default=0, ge=0)


class Cancels(_Section):
    """The share of songs that are cancelled about a second after they were sent."""

    share: float = Field(default=0.0, ge=0, le=1)


class Faults(_Section):
    """Replicas of these deployments to kill, one about every `every_seconds`.

    Only of a server that the run starts itself.
    """

    every_seconds: float = Field(default=90.0, gt=0)
    kill: tuple[Literal["Api", "DispatcherReplica", "Separator", "Analyzer"], ...] = ()


class Growth(_Section):
    """How much more of each thing a server may take: MB, or numbers."""

    memory: float | None = Field(default=None, gt=0)
    kept: float | None = Field(default=None, gt=0)
    descriptors: float | None = Field(default=None, gt=0)
    disk: float | None = Field(default=None, gt=0)
    rows: float | None = Field(default=None, gt=0)


class Limits(_Section):
    """What a run must keep to. A response 429 is no error: the client tries again.

    `p99_ms` is by call, as the report names them. The growth is that of a server which
    the run starts itself, from a minute after the ramp; `left` is what it takes more
    after its rest than before the load.
    """

    errors: int = Field(default=0, ge=0)
    p99_ms: dict[str, float] = Field(default_factory=dict)
    growth_per_minute: Growth = Growth()
    left: Growth = Growth()


class Profile(_Section):
    """A load, and its limits. Responses in the first `ramp_seconds` don't count.

    Afterwards a server that the run starts itself rests for `rest_seconds`.
    """

    duration_seconds: float = Field(default=300.0, gt=0)
    ramp_seconds: float = Field(default=20.0, ge=0)
    rest_seconds: float = Field(default=0.0, ge=0)
    uploads: Uploads = Uploads()
    polls: Polls = Polls()
    events: Events = Events()
    downloads: Downloads = Downloads()
    cancels: Cancels = Cancels()
    faults: Faults = Faults()
    limits: Limits = Limits()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the profile in a file.

        Raises OSError for an unreadable file, ValueError for an invalid profile.
        """
        try:
            given = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not YAML: {error}") from error
        try:
            return cls.model_validate({} if given is None else given)
        except ValidationError as error:
            raise ValueError("\n".join(_wrong(path, error))) from None


def _wrong(path: Path, error: ValidationError) -> Iterator[str]:
    """Yield a line for each wrong value of a profile."""
    for each in error.errors(include_url=False):
        place = ".".join(map(str, each["loc"])) or "the profile"
        yield f"{path}: {place}: {each['msg']}, got {each['input']!r}."
