"""RFC 9110's ranges and conditions, over each kind of store, by GET and by HEAD."""

import hashlib
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from serve_app.api import ranges
from serve_app.archive.http.streaming import app
from serve_app.database import Database
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from serve_app.storage.s3 import S3Storage
from serve_app.storage.sharded import ShardedStorage
from tests.unit.archive.http.streaming.service import (
    OBJECT_KEY,
    STORED_AT,
    Client,
    Rows,
    StoredObjects,
    serving,
)

# Larger than a chunk of any store.
SIZE = 600_011
CONTENT = random.Random(1).randbytes(SIZE)
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
DATE = ranges.http_date(STORED_AT)
EARLIER = ranges.http_date(STORED_AT - timedelta(days=1))
LATER = ranges.http_date(STORED_AT + timedelta(days=1))
PATH = "/stream/1234/5/example/720p"
LAST = SIZE - 1


@dataclass(frozen=True)
class Case:
    """A request, and its status; `start` and `end` are the bytes [start, end)."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    start: int = 0
    end: int = SIZE


def part(header: str, start: int, end: int, **more: str) -> Case:
    return Case(206, {"Range": header, **dashed(more)}, start, end)


def whole(header: str, **more: str) -> Case:
    return Case(200, {"Range": header, **dashed(more)})


def outside(header: str) -> Case:
    return Case(416, {"Range": header})


def dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


CASES = {
    "no range": Case(200),
    # One range.
    "the first byte": part("bytes=0-0", 0, 1),
    "the first bytes": part("bytes=0-99", 0, 100),
    "the middle": part("bytes=1000-1999", 1000, 2000),
    "across chunks": part("bytes=262000-530000", 262_000, 530_001),
    "the last byte": part(f"bytes={LAST}-{LAST}", LAST, SIZE),
    "all by numbers": part(f"bytes=0-{LAST}", 0, SIZE),
    "open end from the start": part("bytes=0-", 0, SIZE),
    "open end": part("bytes=500000-", 500_000, SIZE),
    "open end at the last byte": part(f"bytes={LAST}-", LAST, SIZE),
    "clamped end": part("bytes=600000-700000", 600_000, SIZE),
    "end one too far": part(f"bytes=10-{SIZE}", 10, SIZE),
    "end beyond 64 bits": part("bytes=10-99999999999999999999", 10, SIZE),
    "suffix": part("bytes=-500", SIZE - 500, SIZE),
    "suffix of one byte": part("bytes=-1", LAST, SIZE),
    "suffix of all": part(f"bytes=-{SIZE}", 0, SIZE),
    "suffix longer than all": part(f"bytes=-{SIZE * 2}", 0, SIZE),
    "suffix beyond 64 bits": part("bytes=-99999999999999999999", 0, SIZE),
    "leading zeros": part("bytes=0010-0019", 10, 20),
    "unit in other letters": part("Bytes=0-9", 0, 10),
    "blanks around it": part("bytes= 5-9 ", 5, 10),
    # Outside of the media.
    "start at the end": outside(f"bytes={SIZE}-"),
    "start and end behind": outside(f"bytes={SIZE}-{SIZE + 5}"),
    "start far behind": outside("bytes=999999999999-"),
    "start beyond 64 bits": outside("bytes=99999999999999999999-"),
    "empty suffix": outside("bytes=-0"),
    # Ignored.
    "two ranges": whole("bytes=0-1,4-5"),
    "two ranges, one outside": whole(f"bytes=0-1,{SIZE}-"),
    "overlapping ranges": whole("bytes=0-100,50-150"),
    "many ranges": whole("bytes=" + ",".join(f"{n}-{n}" for n in range(200))),
    "end before start": whole("bytes=9-5"),
    "another unit": whole("items=0-5"),
    "no unit": whole("0-5"),
    "no numbers": whole("bytes=-"),
    "nothing": whole("bytes="),
    "letters": whole("bytes=a-b"),
    "a sign": whole("bytes=+1-5"),
    "a negative start": whole("bytes=--5"),
    "hexadecimal": whole("bytes=0x1-0x5"),
    "a blank before the equals sign": whole("bytes =0-5"),
    "a list without an element": whole("bytes=0-5,"),
    # If-Range.
    "same tag": part("bytes=0-9", 0, 10, If_Range=ETAG),
    "another tag": whole("bytes=0-9", If_Range='"other"'),
    "weak tag": whole("bytes=0-9", If_Range=f"W/{ETAG}"),
    "unquoted tag": whole("bytes=0-9", If_Range=ETAG.strip('"')),
    "same date": part("bytes=0-9", 0, 10, If_Range=DATE),
    "earlier date": whole("bytes=0-9", If_Range=EARLIER),
    "later date": whole("bytes=0-9", If_Range=LATER),
    "no date": whole("bytes=0-9", If_Range="yesterday"),
    "another tag, outside": whole(f"bytes={SIZE}-", If_Range='"other"'),
    "same tag without a range": Case(200, {"If-Range": ETAG}),
    # If-None-Match and If-Modified-Since.
    "known": Case(304, {"If-None-Match": ETAG}),
    "known weakly": Case(304, {"If-None-Match": f"W/{ETAG}"}),
    "known among others": Case(304, {"If-None-Match": f'"a", {ETAG}'}),
    "any version": Case(304, {"If-None-Match": "*"}),
    "known, with a range": Case(304, {"If-None-Match": ETAG, "Range": "bytes=0-9"}),
    "unknown": Case(200, {"If-None-Match": '"a", "b"'}),
    "unknown, with a range": part("bytes=0-9", 0, 10, If_None_Match='"a"'),
    "not modified since": Case(304, {"If-Modified-Since": DATE}),
    "not modified since later": Case(304, {"If-Modified-Since": LATER}),
    "modified since": Case(200, {"If-Modified-Since": EARLIER}),
    "modified since no date": Case(200, {"If-Modified-Since": "soon"}),
    "the tag is what counts": Case(
        200, {"If-None-Match": '"a"', "If-Modified-Since": LATER}
    ),
    # If-Match and If-Unmodified-Since.
    "matching": part("bytes=0-9", 0, 10, If_Match=ETAG),
    "not matching": Case(412, {"If-Match": '"a"', "Range": "bytes=0-9"}),
    "matching weakly": Case(412, {"If-Match": f"W/{ETAG}"}),
    "unmodified since": Case(200, {"If-Unmodified-Since": DATE}),
    "modified since then": Case(412, {"If-Unmodified-Since": EARLIER}),
}


@pytest.fixture(scope="module", params=["directory", "s3", "sharded"])
def client(
    request: Any, tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Iterator[Client]:
    """Serve one episode from a kind of store."""
    folder = tmp_path_factory.mktemp("conformance")
    shutil.copy(empty_database, folder / "jobs.sqlite3")
    with Database(f"sqlite:///{folder / 'jobs.sqlite3'}") as database:
        rows = Rows(database)
        rows.add_ready(CONTENT)
        for objects in stores(request, folder):
            objects.put(OBJECT_KEY, CONTENT, folder)
            with serving(app.build(rows.media, objects, Settings())) as found:
                yield found


def stores(request: Any, folder: Path) -> Iterator[StoredObjects]:
    if request.param == "directory":
        yield StoredObjects(LocalStorage(folder / "objects"))
    elif request.param == "s3":
        with request.getfixturevalue("s3").new_bucket() as bucket:
            yield StoredObjects(S3Storage(bucket))
    else:
        shards = {str(n): LocalStorage(folder / str(n)) for n in range(3)}
        yield StoredObjects(ShardedStorage(shards, b"salt", 2))


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("name", CASES)
def test_ranges_and_conditions(client: Client, name: str) -> None:
    case = CASES[name]
    got, head = (client.ask(PATH, case.headers, method) for method in ("GET", "HEAD"))
    assert got.status == case.status
    if case.status in (200, 206):
        assert got.body == CONTENT[case.start : case.end]
        assert got.headers["content-length"] == str(case.end - case.start)
        assert got.headers["accept-ranges"] == "bytes"
        assert got.headers["content-type"] == "video/mp4"
        assert got.headers["content-disposition"] == "inline"
    expected_range = {
        206: f"bytes {case.start}-{case.end - 1}/{SIZE}",
        416: f"bytes */{SIZE}",
    }.get(case.status)
    assert got.headers.get("content-range") == expected_range
    if case.status in (200, 206, 304):
        assert got.headers["etag"] == ETAG
        assert got.headers["last-modified"] == DATE
    if case.status == 304:
        assert got.body == b""
    assert got.headers["access-control-allow-origin"] == "*"
    # HEAD is GET without a body.
    changing = ("date", "x-request-id")
    kept, same = (
        {name: value for name, value in each.headers.items() if name not in changing}
        for each in (got, head)
    )
    assert (head.status, same, head.body) == (got.status, kept, b"")
