"""Fetching of songs from URLs and buckets that clients name."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from serve_app.errors import RefusedUrl
from serve_app.outbound import download
from serve_app.outbound.client import OutboundClient
from serve_app.outbound.download import DownloadLimits

_BUCKETS = "s3://"


class Buckets(Protocol):
    """The S3 buckets that songs may be read from."""

    def fetch(
        self, url: str, path: Path, max_bytes: int, is_wanted: Callable[[], bool]
    ) -> str:
        """Fetch the song at `s3://bucket/key` to `path`; return its name."""


class Inputs:
    """Fetch songs from the web and from buckets, as far as each is allowed."""

    def __init__(
        self,
        web: OutboundClient | None,
        buckets: Buckets | None,
        limits: DownloadLimits,
    ) -> None:
        self._web = web
        self._buckets = buckets
        self._limits = limits

    def fetch(self, url: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        """Fetch the song at `url` to `path`; return its name.

        Raises RefusedUrl for a URL that is not allowed, UnreachableUrl, UploadTooLarge,
        StorageUnavailable, and Cancelled once `is_wanted` returns False.
        """
        if url.startswith(_BUCKETS):
            if self._buckets is None:
                raise RefusedUrl(
                    "This server does not read songs from buckets. The operator can "
                    "allow it: see STEMSERVE_INPUT_BUCKETS."
                )
            limit = self._limits.max_bytes
            return self._buckets.fetch(url, path, limit, is_wanted)
        if self._web is None:
            raise RefusedUrl(
                "This server does not fetch songs from the web. Send the file itself. "
                "The operator can allow it: see STEMSERVE_INPUT_URLS."
            )
        if "://" not in url:
            raise RefusedUrl(
                f"{url[:40]!r} is not a URL, such as https://example.com/song.mp3. To "
                "send a file, send a form: curl -F file=@song.mp3."
            )
        return download.fetch(self._web, url, path, self._limits, is_wanted)
