"""All stems of a job come as one zip, which can be resumed."""

import io
import zipfile
import zlib
from collections.abc import Iterator

import httpx
import pytest

from serve_app.api import pieces
from serve_app.api.pieces import Pieces
from serve_app.stems.http.checksums import Checksums
from serve_app.stems.request import StemFile
from serve_app.storage.local import LocalStorage
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio

STEMS = {
    "drums": bytes(range(256)) * 3000,  # more than storage gives in one piece
    "bass": b"",
    "other": b"other" * 999,
    "vocals": b"vocals",
}
NAMES = {f"내 노래_{name}.wav": data for name, data in STEMS.items()}


@pytest.fixture
async def job_id(server: Server, song: bytes) -> str:
    job_id = await server.separate(song)
    server.succeed(STEMS, song_name="내 노래")
    return job_id


@pytest.fixture
def url(job_id: str) -> str:
    return f"/job/{job_id}/stems.zip"


def files_in(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_the_zip_has_the_stems_under_their_file_names(
    server: Server, job_id: str, url: str
) -> None:
    answer = await server.client.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert 'filename="song_stems.zip"' in answer.headers["content-disposition"]
    assert files_in(answer.content) == NAMES
    job = (await server.client.get(f"/job/{job_id}")).json()
    assert {stem["filename"] for stem in job["stems"].values()} == set(NAMES)


async def test_its_headers_are_told_without_reading_a_stem(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await server.client.get(url)
    monkeypatch.setattr(LocalStorage, "read", None)
    head = await server.client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]
    known = {"If-None-Match": whole.headers["etag"]}
    assert (await server.client.get(url, headers=known)).status_code == 304


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 10), (20, 30), (100, 300_000), (767_990, 768_200), (768_000, 770_000)],
)
async def test_an_interrupted_download_is_resumed(
    server: Server, url: str, start: int, end: int
) -> None:
    whole = await server.client.get(url)
    headers = {"Range": f"bytes={start}-{end - 1}", "If-Range": whole.headers["etag"]}
    answer = await server.client.get(url, headers=headers)
    assert (answer.status_code, answer.content) == (206, whole.content[start:end])
    rest = await server.client.get(url, headers={"Range": f"bytes={end}-"})
    assert rest.content == whole.content[end:]


async def test_a_slow_client_s_zip_comes_in_pieces(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", 1000)
    monkeypatch.setattr(pieces, "MOST_BYTES", 50_000)
    transport = httpx.ASGITransport(Pieces(server.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as it:
        answer = await it.get(url)
    assert files_in(answer.content) == NAMES


async def test_only_a_completed_job_has_a_zip(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    answer = await server.client.get(f"/job/{job_id}/stems.zip")
    assert_problem(answer, 409, "not_ready")
    unknown = await server.client.get(f"/job/{'0' * 32}/stems.zip")
    assert_problem(unknown, 404, "job_not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_job_whose_files_are_deleted_has_none(
    server: Server, job_id: str, url: str, method: str
) -> None:
    server.storage.delete(f"stems/{job_id}")
    answer = await server.client.request(method, url)
    assert answer.status_code == 404


class Counting:
    """A storage that counts how often a file is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self.reads += 1
        if self.reads == 1 and not self.data:
            raise FileNotFoundError(key)
        yield from (self.data[:3], self.data[3:])


STEM = StemFile("drums", "stems/a/1/drums.wav", "a.wav", 6, "", "audio/wav")


async def test_a_stem_is_read_once_for_its_checksum() -> None:
    storage = Counting(b"vocals")
    checksums = Checksums(storage)  # type: ignore[arg-type]
    assert [await checksums.of(STEM) for _ in range(3)] == [zlib.crc32(b"vocals")] * 3
    assert storage.reads == 1


async def test_a_stem_that_could_not_be_read_is_read_again() -> None:
    storage = Counting(b"")
    checksums = Checksums(storage)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="no such job"):
        await checksums.of(STEM)
    storage.data = b"vocals"
    assert await checksums.of(STEM) == zlib.crc32(b"vocals")
