"""The segments of one playlist, fetched several at a time and kept."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from threading import Event, Lock

from serve_app.archive.downloads import codecs, decryption
from serve_app.archive.downloads.playlist import (
    Encryption,
    MediaPlaylist,
    Resource,
    Segment,
)
from serve_app.archive.downloads.remux import Piece, Run
from serve_app.archive.downloads.room import Room
from serve_app.archive.downloads.source import Source
from serve_app.archive.downloads.transfer import Transfer, without_query
from serve_app.archive.errors import BrokenMedia, ProtectedMedia
from serve_app.errors import Cancelled

_MANIFEST = "playlist.json"


@dataclass(frozen=True)
class Fetching:
    """How the segments of a track are fetched."""

    source: Source
    room: Room
    at_once: int


@dataclass(frozen=True)
class _Found:
    """A segment on the disk."""

    piece: Piece
    container: str


class Track:
    """The segments of a playlist, in a folder that processes leave to each other.

    `url` is where the playlist was found. Segments of before are kept while the
    playlist names the same ones: by their URLs without queries, or, from the same
    playlist, by their numbers, durations and byte ranges. Else all begins anew.
    """

    def __init__(
        self, fetching: Fetching, folder: Path, url: str, playlist: MediaPlaylist
    ) -> None:
        self.playlist = playlist
        self._fetching = fetching
        self._folder = folder
        self._url = without_query(url)
        self._stop = Event()
        self._source = replace(fetching.source, is_wanted=self._is_wanted)
        self._keys: dict[str, bytes] = {}
        self._maps: dict[Resource, Piece] = {}
        self._codecs: tuple[str, ...] = ()
        self._lock = Lock()

    def fetch(self, report: Callable[[float], None]) -> list[list[Run]]:
        """Return the track's parts between discontinuities, each in runs of one map.

        `report` gets the seconds of media that are there. Raises the errors of `Source`
        and of `Room`, BrokenMedia and ProtectedMedia.
        """
        self._begin()
        for encryption in self._encryptions():
            self._fetch_key(encryption.key_url)
        for number, resource in enumerate(self._distinct_maps()):
            self._maps[resource] = self._fetch_map(number, resource)
        return self._runs(self._fetch_segments(report))

    def _begin(self) -> None:
        """Keep the folder's files if they are of this playlist; else delete them."""
        manifest = self._folder / _MANIFEST
        urls = [_url_of(segment) for segment in self.playlist.segments]
        shapes = [_shape_of(segment) for segment in self.playlist.segments]
        is_same = False
        with suppress(FileNotFoundError, ValueError, TypeError, LookupError):
            kept = json.loads(manifest.read_bytes())
            is_same_list = kept["url"] == self._url and kept["shapes"] == shapes
            is_same = is_same_list or kept["urls"] == urls
        if not is_same:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
        new = manifest.with_suffix(".new")
        new.write_text(json.dumps({"url": self._url, "shapes": shapes, "urls": urls}))
        new.replace(manifest)

    def _encryptions(self) -> Iterator[Encryption]:
        for resource in self._resources():
            if resource.encryption is not None:
                yield resource.encryption

    def _resources(self) -> Iterator[Resource]:
        for segment in self.playlist.segments:
            yield segment.resource
            if segment.map is not None:
                yield segment.map

    def _distinct_maps(self) -> list[Resource]:
        maps = (segment.map for segment in self.playlist.segments)
        return list(dict.fromkeys(each for each in maps if each is not None))

    def _fetch_key(self, url: str) -> None:
        if url in self._keys:
            return
        found = self._source.document(url, decryption.KEY_BYTES * 64, ProtectedMedia)
        if len(found.body) != decryption.KEY_BYTES:
            raise BrokenMedia(
                f"A key has {len(found.body)} bytes instead of {decryption.KEY_BYTES}."
            )
        self._keys[url] = found.body

    def _fetch_map(self, number: int, resource: Resource) -> Piece:
        piece = self._fetched(f"map{number:05}", resource)
        data = b"".join(self._decrypted(piece))
        if codecs.container(data, has_map=True) != codecs.FRAGMENTS:
            raise BrokenMedia("An initialisation section is not MP4.")
        self._check_codecs(f"initialisation section {number}", codecs.of_map(data))
        return piece

    def _fetch_segments(self, report: Callable[[float], None]) -> list[_Found]:
        segments = self.playlist.segments
        with ThreadPoolExecutor(self._fetching.at_once, "segments") as pool:
            done_seconds = 0.0

            def one(number: int, segment: Segment) -> _Found:
                nonlocal done_seconds
                found = self._fetch_segment(number, segment)
                with self._lock:
                    done_seconds += segment.seconds
                report(done_seconds)
                return found

            futures = [pool.submit(one, *each) for each in enumerate(segments)]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
        _raise_first(done)
        return [future.result() for future in futures]

    def _fetch_segment(self, number: int, segment: Segment) -> _Found:
        self._source.check_wanted()
        piece = self._fetched(f"{number:05}", segment.resource)
        head = b""
        for chunk in self._decrypted(piece):
            head += chunk
            if len(head) >= codecs.HEAD_BYTES:
                break
        try:
            container = codecs.container(head, segment.map is not None)
        except BrokenMedia as err:
            raise BrokenMedia(f"Segment {segment.sequence}: {err.detail}.") from err
        if container == codecs.MPEG_TS:
            found = codecs.of_mpeg_ts(head)
        elif container != codecs.FRAGMENTS:
            found = (container,)
        else:
            found = codecs.of_map(head) if segment.map is None else ()
        self._check_codecs(f"segment {segment.sequence}", found)
        return _Found(piece, container)

    def _fetched(self, name: str, resource: Resource) -> Piece:
        transfer = Transfer(
            self._source, self._fetching.room, self._folder / name, resource.range
        )
        whole = transfer.fetch(resource.url, is_same=True)
        if not resource.encryption:
            return Piece(str(whole.path), whole.size_bytes)
        key = self._keys[resource.encryption.key_url]
        iv = resource.encryption.iv.hex()
        return Piece(str(whole.path), whole.size_bytes, key.hex(), iv)

    def _decrypted(self, piece: Piece) -> Iterator[bytes]:
        try:
            yield from decryption.chunks(
                Path(piece.path), bytes.fromhex(piece.key), bytes.fromhex(piece.iv)
            )
        except decryption.WrongKey as err:
            raise BrokenMedia(f"The media is damaged: {err}.") from err

    def _check_codecs(self, where: str, found: tuple[str, ...]) -> None:
        """Raise BrokenMedia if segments have other codecs than those before."""
        with self._lock:
            self._codecs = self._codecs or found
            if found and found != self._codecs:
                raise BrokenMedia(
                    f"The segments have several codecs, which no MP4 can: {where} has "
                    f"{' and '.join(found)}, others have {' and '.join(self._codecs)}."
                )

    def _runs(self, found: list[_Found]) -> list[list[Run]]:
        """Return sections between discontinuities, in runs of one map and container."""
        sections: list[list[Run]] = []
        segments = self.playlist.segments
        for number, (segment, each) in enumerate(zip(segments, found, strict=True)):
            map_piece = None if segment.map is None else self._maps[segment.map]
            if number == 0 or segment.is_discontinuity:
                sections.append([])
            is_new = (
                not sections[-1]
                or segment.map != segments[number - 1].map
                or each.container != sections[-1][-1].container
            )
            if is_new:
                pieces = () if map_piece is None else (map_piece,)
                sections[-1].append(Run(each.container, pieces))
            run = sections[-1][-1]
            sections[-1][-1] = replace(run, pieces=(*run.pieces, each.piece))
        return sections

    def _is_wanted(self) -> bool:
        return not self._stop.is_set() and self._fetching.source.is_wanted()


def _url_of(segment: Segment) -> list[object]:
    found = [_place_of(segment.resource)]
    if segment.map is not None:
        found.append(_place_of(segment.map))
    return [*found]


def _place_of(resource: Resource) -> list[object]:
    bytes_range = resource.range
    return [without_query(resource.url), bytes_range.start, bytes_range.length_bytes]


def _shape_of(segment: Segment) -> list[object]:
    bytes_range = segment.resource.range
    return [
        *(segment.sequence, segment.seconds, segment.is_discontinuity),
        *(bytes_range.start, bytes_range.length_bytes),
        segment.resource.encryption is not None,
    ]


def _raise_first(done: set[Future[_Found]]) -> None:
    """Raise what went wrong; the others were only stopped."""
    errors = [err for future in done if (err := future.exception()) is not None]
    causes = [err for err in errors if not isinstance(err, Cancelled)]
    for err in islice([*causes, *errors], 1):
        raise err
