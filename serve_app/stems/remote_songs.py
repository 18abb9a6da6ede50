"""Songs that are fetched for clients, from where they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from serve_app.errors import RefusedUrl
from serve_app.outbound import download
from serve_app.outbound.client import Asker
from serve_app.outbound.download import Limits

_BUCKETS = "s3://"


class Buckets(Protocol):
    """Buckets that songs may be read from."""

    def fetch(
        self, url: str, path: Path, max_bytes: int, is_wanted: Callable[[], bool]
    ) -> str:
        """Bring the song at `s3://bucket/key` to `path`; return its name."""


class Inputs:
    """Songs by address: on the web, and in buckets, where there are such."""

    def __init__(
        self, web: Asker | None, buckets: Buckets | None, limits: Limits
    ) -> None:
        self._web = web
        self._buckets = buckets
        self._limits = limits

    def fetch(self, url: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        """Bring the song at `url` to `path`; return its name.

        Raises RefusedUrl for what is not asked, UnreachableUrl, UploadTooLarge,
        StorageUnavailable, and Cancelled once it is not wanted any more.
        """
        if url.startswith(_BUCKETS):
            if self._buckets is None:
                raise RefusedUrl(
                    "Songs are not read from buckets here. The operator can allow "
                    "that: STEMSERVE_INPUT_BUCKETS."
                )
            limit = self._limits.max_bytes
            return self._buckets.fetch(url, path, limit, is_wanted)
        if self._web is None:
            raise RefusedUrl(
                "Songs are not fetched from the web here: send the file itself. The "
                "operator can allow it: STEMSERVE_INPUT_URLS."
            )
        return download.fetch(self._web, url, path, self._limits, is_wanted)
