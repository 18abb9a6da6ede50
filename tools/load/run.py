"""What both generators are told: in the environment of their process."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tools.load import songs
from tools.load.clients import Shared
from tools.load.jobs import Jobs
from tools.load.measures import Recorder
from tools.load.profile import Profile

_VARIABLE = "STEMSERVE_LOAD_RUN"
# The key has a variable of its own, so that no list of processes shows it.
KEY_VARIABLE = "STEMSERVE_API_KEY"


@dataclass(frozen=True)
class Run:
    """A run: the server, the profile, and the file for the measures."""

    url: str
    profile: Path
    measures: Path

    def environment(self) -> dict[str, str]:
        """Return the environment of a generator."""
        told = {"url": self.url, "profile": str(self.profile)}
        told["measures"] = str(self.measures)
        return {**os.environ, _VARIABLE: json.dumps(told)}

    @classmethod
    def from_environment(cls) -> Self:
        """Return the run that this process is to make."""
        told = json.loads(os.environ[_VARIABLE])
        return cls(told["url"], Path(told["profile"]), Path(told["measures"]))

    def shared(
        self, listener: Callable[[str, float, str | None], None] = lambda *_: None
    ) -> Shared:
        """Return what the clients share; the ramp begins now."""
        profile = Profile.read(self.profile)
        encoded = songs.encoded(profile.uploads)
        recorder = Recorder(time.monotonic() + profile.ramp_seconds, listener)
        key = os.environ.get(KEY_VARIABLE, "")
        return Shared(self.url, key, profile, encoded, Jobs(), recorder)

    def write(self, generator: str, recorder: Recorder) -> None:
        """Write the measures."""
        measures = recorder.measures(generator).to_dict()
        self.measures.write_text(json.dumps(measures))
