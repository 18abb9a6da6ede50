"""What media is: an episode of a provider, or any key of a newer client."""

import hashlib
import re
from dataclasses import dataclass

UNKNOWN = "unknown"
_NAME_CHARACTERS = 32
_EPISODE = re.compile(r"([1-9]\d{0,9}):([1-9]\d{0,9}):(.+)", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """An episode in one resolution of one provider; `resolution` None is unknown."""

    mal_id: int
    episode: int
    provider: str
    resolution: str | None = None

    @property
    def key(self) -> str:
        """The key of the media."""
        resolution = self.resolution or UNKNOWN
        return f"{self.mal_id}:{self.episode}:{self.provider}:{resolution}"


def identity_of(key: str) -> Identity | None:
    """Return the episode whose key this is, or None if it is that of other media."""
    numbers, _, resolution = key.rpartition(":")
    found = _EPISODE.fullmatch(numbers)
    if found is None or not resolution:
        return None
    mal_id, episode, provider = found.groups()
    named = None if resolution == UNKNOWN else resolution
    return Identity(int(mal_id), int(episode), provider, named)


def object_key(identity: Identity, salt: str) -> str:
    """Return where an episode is stored, a name that can't be guessed without `salt`.

    The name is that of the archive's first version, whose objects stay readable.
    """
    folder = f"{identity.mal_id}/ep{identity.episode}"
    return f"{folder}/{_name(identity.key, salt)}.mp4"


def object_key_of(key: str, salt: str, extension: str) -> str:
    """Return where media with another key is stored; `extension` is as in `mp4`."""
    return f"media/{_name(key, salt)}.{extension}"


def digest(key: str) -> str:
    """Return a name of fixed length for a key of any length and characters."""
    return hashlib.sha256(key.encode()).hexdigest()


def _name(key: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}:{key}".encode()).hexdigest()[:_NAME_CHARACTERS]
