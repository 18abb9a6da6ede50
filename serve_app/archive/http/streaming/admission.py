"""Which URLs of other servers are passed on to players."""

import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from typing import Protocol

from serve_app.archive.errors import MediaNotFound, NotAllowed
from serve_app.archive.identity import Identity
from serve_app.archive.sources import Sources
from serve_app.errors import AppError, RefusedUrl, Unavailable

_KEPT_SECONDS = 5.0


class SourceNotAllowed(AppError):
    """A URL, or one that it redirects to, is not one that the operator allows."""

    code, status = "not_allowed", 403


class OldMedia(Protocol):
    """What the old API's `video_store` has; methods block, and raise Unavailable."""

    def url_of(self, identity: Identity) -> str | None:
        """Return the URL of an episode, or None."""

    def has_url(self, url: str) -> bool:
        """Whether a row has this URL."""


class Admission:
    """Admits URLs of allowed hosts and of stored media, but for media taken down.

    `is_stored` tells the URLs of the archive's stores, `taken_down` lists the sources
    of media that was taken down. Methods block, and are thread-safe.
    """

    def __init__(
        self,
        sources: Sources,
        is_stored: Callable[[str], bool],
        old: OldMedia | None,
        taken_down: Callable[[], Set[str]],
        clock_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._is_stored = is_stored
        self._old = old
        self._taken_down = taken_down
        self._clock_seconds = clock_seconds
        self._known: tuple[float, frozenset[str]] | None = None

    def check(self, url: str) -> None:
        """Return if `url` may be passed on.

        Raises SourceNotAllowed, MediaNotFound, and Unavailable.
        """
        try:
            with refused():
                self._sources.checked(url)
        except SourceNotAllowed:
            if not self._is_of_archive(url):
                raise
        if url in self._out():
            raise MediaNotFound("This media was taken down.")

    def _is_of_archive(self, url: str) -> bool:
        return self._is_stored(url) or (
            self._old is not None and self._old.has_url(url)
        )

    def _out(self) -> frozenset[str]:
        """Return the URLs of what was taken down."""
        known, now = self._known, self._clock_seconds()
        if known is not None and now < known[0]:
            return known[1]
        try:
            found = frozenset(self._taken_down())
        except Unavailable:
            # Sources are passed on without the database, if it was there once.
            if known is None:
                raise
            found = known[1]
        self._known = (now + _KEPT_SECONDS, found)
        return found


@contextmanager
def refused() -> Iterator[None]:
    """Raise SourceNotAllowed for what the rules of an operator refuse."""
    try:
        yield
    except (NotAllowed, RefusedUrl) as err:
        raise SourceNotAllowed(err.detail) from err
