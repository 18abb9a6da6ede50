"""The rows of the old API's tables."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from serve_app.archive.errors import NotAllowed
from serve_app.archive.identity import Identity
from serve_app.archive.media import MediaState
from serve_app.archive.old_tables.port import TableName

_LONGEST = {"provider": 20, "resolution": 10}
_NAMESPACE = uuid.UUID("5fbd6a3c-3f55-4c6e-9d0e-3c1c6cf6e0a4")
_LOCATION = (
    *("file_key", "hf_account", "hf_repo", "hf_path"),
    *("hf_direct_url", "stream_url"),
)


@dataclass(frozen=True)
class QueueRow:
    """A row of `video_queue`."""

    id: str
    identity: Identity
    url: str
    status: MediaState
    retry_count: int = 0
    error_message: str | None = None


@dataclass(frozen=True)
class Place:
    """Where media is stored, for `video_store`.

    `account` is the number of the store, 1 to 5. `direct_url` is absolute and public.
    """

    account: int
    repository: str
    path: str
    direct_url: str


@dataclass(frozen=True)
class StoreRow:
    """A row of `video_store`: media that is ready."""

    identity: Identity
    file_key: str
    hf_account: int
    hf_repo: str
    hf_path: str
    hf_direct_url: str
    stream_url: str

    @property
    def location(self) -> dict[str, Any]:
        """The columns apart from the identity."""
        return {name: getattr(self, name) for name in _LOCATION}


def store_row(identity: Identity, place: Place, stream_url: str) -> StoreRow:
    """Return the row of media at a place."""
    return StoreRow(
        identity,
        file_key=PurePosixPath(place.path).stem,
        hf_account=place.account,
        hf_repo=place.repository,
        hf_path=place.path,
        hf_direct_url=place.direct_url,
        stream_url=stream_url,
    )


def queue_row_of(values: Mapping[str, Any]) -> QueueRow:
    """Return the row of `video_queue` with these columns."""
    return QueueRow(
        str(values["id"]),
        identity_of(values),
        values["video_url"],
        MediaState(values["status"]),
        values["retry_count"] or 0,
        values["error_message"],
    )


def store_row_of(values: Mapping[str, Any]) -> StoreRow:
    """Return the row of `video_store` with these columns."""
    return StoreRow(identity_of(values), **{name: values[name] for name in _LOCATION})


def identity_of(values: Mapping[str, Any]) -> Identity:
    """Return the identity of a row of either table."""
    return Identity(
        values["mal_id"], values["episode"], values["provider"], values["resolution"]
    )


def id_of(table: TableName, identity: Identity) -> str:
    """Return the id of a row that the archive inserts.

    It follows from the identity, so that two dispatchers can't insert two rows: no
    constraint prevents that where the resolution is null.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{table} {identity.key}"))


def check_lengths(identity: Identity) -> None:
    """Raise NotAllowed if the tables have no room for an identity."""
    for name, longest in _LONGEST.items():
        value = getattr(identity, name) or ""
        if len(value) > longest:
            raise NotAllowed(
                f"`{name}` may have at most {longest} characters, as the column of "
                f"`{TableName.QUEUE}` has, got {len(value)}: {value[:40]!r}."
            )
