"""What a request for media names, and the response with it."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serve_app.archive.errors import MediaNotFound
from serve_app.archive.http.streaming.admission import Admission, OldMedia
from serve_app.archive.http.streaming.bodies import Reader
from serve_app.archive.http.streaming.proxied import ProxiedMedia
from serve_app.archive.http.streaming.public_urls import PublicUrls
from serve_app.archive.http.streaming.stored import StoredMedia
from serve_app.archive.identity import UNKNOWN, Identity
from serve_app.archive.media import Media, MediaStore
from serve_app.errors import Unavailable

_MOST_DIGITS = 18


@dataclass(frozen=True)
class Streams:
    """Finds media, and sends it from a store or from its source."""

    media: MediaStore
    stored: StoredMedia
    proxied: ProxiedMedia
    admission: Admission
    old: OldMedia | None
    # For the database, apart from reads that may wait for a store.
    threads: ThreadPoolExecutor

    async def of_identity(
        self, request: Request, parts: Mapping[str, str], urls: PublicUrls
    ) -> Response:
        """Return the response with an episode; raise MediaNotFound."""
        identity = _identity(parts)
        media, old_url = await self._run(self._find_episode, identity)
        if media is not None and media.is_ready:
            return await self.stored.answer(request, media)
        if old_url is not None:
            return await self.of_url(request, old_url, urls)
        return await self._of_source(request, media, urls)

    async def of_key(self, request: Request, key: str, urls: PublicUrls) -> Response:
        """Return the response with media by its key, or by that of its object."""
        media = await self._run(self._find_media, key)
        if media is not None and media.is_ready:
            return await self.stored.answer(request, media)
        return await self._of_source(request, media, urls)

    async def of_url(self, request: Request, url: str, urls: PublicUrls) -> Response:
        """Return the response with the media at a URL: our own, or a source's."""
        path = urls.own_path(url)
        if path is None:
            return await self._of_other(request, url, urls)
        name, _, rest = path.removeprefix("/").partition("/")
        parts = rest.split("/")
        if name == "media" and rest:
            return await self.of_key(request, rest, urls)
        if name == "stream" and len(parts) == len(_PARTS):
            named = dict(zip(_PARTS, parts, strict=True))
            return await self.of_identity(request, named, urls)
        raise MediaNotFound("The URL is one of this server, but names no media on it.")

    async def health(self) -> dict[str, bool]:
        """Return whether media is fetched: not if some could be and none is."""
        try:
            is_stuck = await self._run(self.media.is_stuck)
        except Unavailable:
            is_stuck = True
        return {"worker_running": not is_stuck}

    async def _of_source(
        self, request: Request, media: Media | None, urls: PublicUrls
    ) -> Response:
        if media is None:
            raise MediaNotFound("There is no such media. Check its name.")
        if media.blocked_at is not None:
            raise MediaNotFound("This media was taken down.")
        return await self._of_other(request, media.url, urls)

    async def _of_other(self, request: Request, url: str, urls: PublicUrls) -> Response:
        await self._run(self.admission.check, url)
        return await self.proxied.answer(request, url, urls)

    def _find_episode(self, identity: Identity) -> tuple[Media | None, str | None]:
        media = self._find(identity.key)
        is_known = media is not None and (
            media.is_ready or media.blocked_at is not None
        )
        if is_known or self.old is None:
            return media, None
        return media, self.old.url_of(identity)

    def _find_media(self, key: str) -> Media | None:
        return self.media.find_object(key) or self._find(key)

    def _find(self, key: str) -> Media | None:
        try:
            return self.media.find(key)
        except MediaNotFound:
            return None

    async def _run(self, work: Callable[..., Any], *args: Any) -> Any:
        return await Reader(self.threads).run(work, *args)


_PARTS = ("mal_id", "episode", "provider", "resolution")


def _identity(parts: Mapping[str, str]) -> Identity:
    """Return what a path names; raise MediaNotFound unless its numbers are some."""
    numbers = parts["mal_id"], parts["episode"]
    for each in numbers:
        if not (each.isascii() and each.isdecimal() and len(each) <= _MOST_DIGITS):
            raise MediaNotFound(
                f"There is no media {each[:80]!r}: mal_id and episode must be numbers."
            )
    mal_id, episode = map(int, numbers)
    resolution = parts["resolution"]
    return Identity(
        mal_id,
        episode,
        parts["provider"],
        None if resolution == UNKNOWN else resolution,
    )
