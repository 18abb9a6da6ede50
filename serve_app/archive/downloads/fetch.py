"""Media fetched from a URL onto the local disk: a file, or a playlist's segments."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Lock

from serve_app.archive import media_types
from serve_app.archive.downloads import folder, joining, playlist
from serve_app.archive.downloads.folder import Held
from serve_app.archive.downloads.playlist import MAX_PLAYLIST_BYTES, MediaPlaylist
from serve_app.archive.downloads.remux import VIDEO, Plan
from serve_app.archive.downloads.room import Room, disk_errors
from serve_app.archive.downloads.source import Document, Source, Tally
from serve_app.archive.downloads.track import Fetching, Track
from serve_app.archive.downloads.transfer import Transfer, Whole, digest
from serve_app.archive.errors import BrokenMedia, DiskFull, NotMedia
from serve_app.archive.media_types import MediaType
from serve_app.audio.truncation import is_cut_short
from serve_app.outbound.client import OutboundClient

_REPORT_SECONDS = 0.2
# What remuxing is of the work.
_REMUX_FRACTION = 0.1
_TRACKS = ("video", "audio")


@dataclass(frozen=True)
class Limits:
    """What a download may take.

    `reserve_bytes` of the disk stay free. A request is interrupted after
    `stall_seconds` without a byte. Of a playlist's variants the best one with at most
    `max_height` lines is fetched; 0 is no limit. `pause_seconds` is the pause after a
    try without a new byte; it doubles after the next one.
    """

    max_bytes: int
    reserve_bytes: int
    stall_seconds: float
    max_height: int
    segments_at_once: int = 4
    pause_seconds: float = 1.0


@dataclass(frozen=True)
class Fetched:
    """Complete media on the local disk, in the folder of its key.

    `media_type` is what its bytes are, whatever its server said. `fetched_bytes` counts
    all bytes of this attempt's responses. `duration_seconds` is known of playlists.
    """

    path: Path
    size_bytes: int
    sha256: str
    media_type: str
    extension: str
    fetched_bytes: int
    duration_seconds: float | None


class _FoundPlaylist(Exception):
    """The URL is of a playlist, although nothing in it says so."""


class Downloads:
    """Downloads of media into one folder, which processes may share; thread-safe.

    What is there stays when a process is killed, and the next attempt continues it.
    """

    def __init__(self, client: OutboundClient, folder: Path, limits: Limits) -> None:
        self._client = client
        self._folder = folder
        self._limits = limits

    def fetch(
        self,
        key: str,
        url: str,
        report: Callable[[float], None],
        cancelled: Event,
    ) -> Fetched:
        """Return the media at `url`; blocks. `report` gets the fraction that is there.

        It is called by several threads, one at a time.

        Raises RefusedUrl, SourceBusy, SourceFailed, NotMedia, BrokenMedia,
        ProtectedMedia, LiveMedia, MediaTooLarge, DiskFull, StorageUnavailable,
        Cancelled soon after `cancelled` is set, and TryLater if another process
        fetches the same.
        """

        def is_wanted() -> bool:
            return not cancelled.is_set()

        with folder.held(self._folder, key, is_wanted) as found:
            limits = self._limits
            source = Source(
                self._client,
                limits.stall_seconds,
                limits.pause_seconds,
                Tally(),
                is_wanted,
            )
            room = Room(found.path, limits.max_bytes, limits.reserve_bytes)
            attempt = _Attempt(source, room, found, limits, _Reports(report))
            try:
                with disk_errors():
                    room.check_disk(0)
                    return attempt.fetch(url)
            except DiskFull:
                # Else a full disk stays full, and not even the failure of the job can
                # be recorded.
                shutil.rmtree(found.path, ignore_errors=True)
                raise

    def discard(self, key: str) -> None:
        """Delete what there is of a key: its job has ended. Raises TryLater."""
        folder.discard(self._folder, key)

    def sweep(self, is_wanted: Callable[[str], bool], before: datetime) -> int:
        """Delete what is of keys that are not wanted, and unchanged since `before`.

        Returns the number of keys.
        """
        return folder.sweep(self._folder, is_wanted, before)


class _Reports:
    """Passes on progress, which never decreases, a few times per second."""

    def __init__(self, report: Callable[[float], None]) -> None:
        self._report = report
        self._lock = Lock()
        self._fraction = 0.0
        self._reported_at = float("-inf")

    def __call__(self, fraction: float) -> None:
        with self._lock:
            now = time.monotonic()
            fraction = min(fraction, 1.0)
            is_due = now - self._reported_at >= _REPORT_SECONDS or fraction == 1.0
            if fraction > self._fraction and is_due:
                self._fraction, self._reported_at = fraction, now
                self._report(fraction)


@dataclass(frozen=True)
class _Attempt:
    """One attempt at one piece of media, which has its folder alone."""

    source: Source
    room: Room
    folder: Held
    limits: Limits
    reports: _Reports

    def fetch(self, url: str) -> Fetched:
        """Return the media at `url`, of whatever kind it is."""
        if "m3u8" not in url.lower():
            try:
                return self._file(url)
            except _FoundPlaylist:
                shutil.rmtree(self._file_folder)
        return self._playlist(url)

    @property
    def _file_folder(self) -> Path:
        return self.folder.path / "file"

    def _file(self, url: str) -> Fetched:
        self._file_folder.mkdir(exist_ok=True)
        path = self._file_folder / "media"
        transfer = Transfer(
            self.source, self.room, path, check_head=_check_head, report=self._of_bytes
        )
        whole = transfer.fetch(url)
        with path.open("rb") as file:
            found = _media_type(file.read(media_types.HEAD_BYTES))
            # A recording of MPEG-TS may end anywhere.
            may_end = found == media_types.MPEG_TS and transfer.kept.total_bytes
            if not may_end and is_cut_short(file, found.container):
                raise BrokenMedia(
                    "The file ends early: it is shorter than its own structure says."
                )
        return self._fetched(whole, found, None)

    def _playlist(self, url: str) -> Fetched:
        tracks = self._tracks(url)
        total_seconds = sum(track.playlist.seconds for track in tracks) or 1.0
        done_seconds = 0.0
        sections = []
        for track in tracks:
            before_seconds = done_seconds

            def report(seconds: float, before_seconds: float = before_seconds) -> None:
                fraction = (before_seconds + seconds) / total_seconds
                self.reports(fraction * (1 - _REMUX_FRACTION))

            sections.append(track.fetch(report))
            done_seconds += track.playlist.seconds
        path = self.folder.path / "joined.mp4"
        path.unlink(missing_ok=True)
        self.room.check_disk(self.room.total_bytes)
        plan = Plan(str(path), tuple(tuple(map(tuple, each)) for each in sections))
        return self._joined(plan, tracks)

    def _joined(self, plan: Plan, tracks: list[Track]) -> Fetched:
        def report(fraction: float) -> None:
            self.reports(1 - _REMUX_FRACTION * (1 - fraction))

        joined = joining.join(plan, self.folder.lock, report, self.source.is_wanted)
        path = Path(plan.output)
        size_bytes, sha256 = path.stat().st_size, digest(path, self.source)
        for track, seconds in zip(tracks, joined.seconds, strict=True):
            _check_duration(track.playlist, seconds)
        self.reports(1.0)
        kind = media_types.MP4 if VIDEO in joined.kinds else media_types.M4A
        whole = Whole(path, size_bytes, sha256)
        return self._fetched(whole, kind, max(joined.seconds))

    def _tracks(self, url: str) -> list[Track]:
        """Return the best variant, and its separate audio if it has some."""
        document = self._document(url)
        found = playlist.parse(document.body, document.url)
        if isinstance(found, MediaPlaylist):
            return [self._track(0, document.url, found)]
        variant = playlist.best(found, self.limits.max_height)
        audio_url = playlist.audio_url(found, variant)
        urls = (
            [variant.url]
            if audio_url in (None, variant.url)
            else [
                variant.url,
                str(audio_url),
            ]
        )
        return [self._nested(number, each) for number, each in enumerate(urls)]

    def _nested(self, number: int, url: str) -> Track:
        document = self._document(url)
        found = playlist.parse(document.body, document.url)
        if not isinstance(found, MediaPlaylist):
            raise BrokenMedia(
                "A variant of the playlist is a playlist of variants itself, or refers "
                "to itself."
            )
        return self._track(number, document.url, found)

    def _track(self, number: int, url: str, found: MediaPlaylist) -> Track:
        fetching = Fetching(self.source, self.room, self.limits.segments_at_once)
        return Track(fetching, self.folder.path / _TRACKS[number], url, found)

    def _document(self, url: str) -> Document:
        document = self.source.document(url, MAX_PLAYLIST_BYTES)
        if not media_types.is_playlist(document.body):
            raise NotMedia(
                "The source gave "
                f"{media_types.description(document.body)} instead of a playlist. "
                "Check the URL."
            )
        return document

    def _of_bytes(self, size_bytes: int, total_bytes: int | None) -> None:
        if total_bytes:
            self.reports(size_bytes / total_bytes)

    def _fetched(
        self, whole: Whole, found: MediaType, duration_seconds: float | None
    ) -> Fetched:
        return Fetched(
            whole.path,
            whole.size_bytes,
            whole.sha256,
            found.name,
            found.extension,
            self.source.tally.fetched_bytes,
            duration_seconds,
        )


def _check_head(head: bytes) -> None:
    if media_types.is_playlist(head):
        raise _FoundPlaylist
    _media_type(head)


def _media_type(head: bytes) -> MediaType:
    found = media_types.of(head)
    if found is None:
        raise NotMedia(
            f"The source gave {media_types.description(head)} instead of media. Check "
            "the URL."
        )
    return found


def _check_duration(found: MediaPlaylist, seconds: float) -> None:
    if abs(found.seconds - seconds) > found.tolerance_seconds:
        raise BrokenMedia(
            f"The media lasts {seconds:.1f} s, but its playlist says "
            f"{found.seconds:.1f} s: segments are damaged, or their times are wrong."
        )
