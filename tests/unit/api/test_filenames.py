"""Songs under the names that real clients send, from their bytes to the title."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serve_app.api.multipart import Form, FormReader, FormRules
from serve_app.client import Client
from tests.unit.client.service import Service, json_answer

RULES = FormRules((), max_file_bytes=10_000)
SONG = b"la la"

NAMES = [
    "song.mp3",
    'Blue Monday (12" Mix).wav',
    "back\\slash.wav",
    "end\\",
    "100%25.wav",
    "%E2%99%AB.wav",
    "노래 (라이브).mp3",
    "naïve; filename=x.mp3",
    "Mr. Brightside",
    "it's 🎵.flac",
    "CON",
]

# As undici 7 and the npm package form-data 4 sent them, byte for byte.
NODE = [
    (b'filename="Blue Monday (12%22 Mix).wav"', 'Blue Monday (12" Mix).wav'),
    (b'filename="back\\slash.wav"', "back\\slash.wav"),
    (b'filename="100%25.wav"', "100%25.wav"),
    (b'filename="na\xc3\xafve; x.mp3"', "naïve; x.mp3"),
    (b'filename="a%0Ab.wav"', "a b.wav"),
    (b'filename="bell\x07.wav"', "bell.wav"),
    (b'filename="end\\"', "end\\"),
]

# As older clients sent them: urllib3 1 escapes backslashes, and so does curl before
# 7.81, quotes too; Internet Explorer sent paths, and .NET sends the name twice.
OLD = [
    (b'filename="back\\\\slash.wav"', "back\\slash.wav"),
    (b'filename="Blue Monday (12\\" Mix).wav"', 'Blue Monday (12" Mix).wav'),
    (b'filename="C:\\Music\\song.mp3"', "song.mp3"),
    (b'filename="C:\\fakepath\\song.mp3"', "song.mp3"),
    (b"filename=\"=?utf-8?B?64W4LmEi?=\"; filename*=utf-8''%EB%85%B8.mp3", "노.mp3"),
    (b"filename=song.mp3; filename*=utf-8''song.mp3", "song.mp3"),
]


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        service.on("POST", "/separate", json_answer({"job_id": "j1"}))
        yield service


def read(content_type: str, body: bytes, path: Path) -> Form:
    reader = FormReader(content_type, path, RULES)
    try:
        reader.feed(body)
        return reader.finish()
    finally:
        reader.close()


def by_httpx(url: str, song: Path) -> None:
    httpx.post(url, files={"file": (song.name, SONG)})


def by_requests(url: str, song: Path) -> None:
    requests = pytest.importorskip("requests")
    requests.post(url, files={"file": (song.name, SONG)})


def by_aiohttp(url: str, song: Path) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def send() -> None:
        form = aiohttp.FormData()
        form.add_field("file", SONG, filename=song.name)
        async with aiohttp.ClientSession() as session:
            (await session.post(url, data=form)).close()

    asyncio.run(send())


def by_curl(url: str, song: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl")
    escaped = str(song).replace("\\", "\\\\").replace('"', '\\"')
    command = [curl, "--silent", "--fail", "-F", f'file=@"{escaped}"', url]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run([*command, "--form-escape"], check=True, capture_output=True)


def by_our_client(url: str, song: Path) -> None:
    with Client(url.removesuffix("/separate")) as client:
        client.separate(song)


CLIENTS = {
    send.__name__.removeprefix("by_"): send
    for send in (by_httpx, by_requests, by_aiohttp, by_curl, by_our_client)
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_name_arrives_as_it_is_at_its_sender(
    service: Service, tmp_path: Path, client: str, name: str
) -> None:
    song = tmp_path / name
    song.write_bytes(SONG)
    CLIENTS[client](f"{service.url}/separate", song)
    assert service.requests
    for number, request in enumerate(service.requests):
        content_type = request.headers["Content-Type"]
        form = read(content_type, request.body, tmp_path / f"read-{number}")
        assert (form.filename, form.size_bytes) == (name, len(SONG))


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (b"caf\xe9.wav", "café.wav"),
        ("夜に駆ける.wav".encode("cp932"), "夜に駆ける.wav"),
        (b"\xffx.wav", "ÿx.wav"),
    ],
)
@pytest.mark.parametrize("client", ["curl", "our_client"])
def test_a_name_that_is_no_utf_8_arrives_as_a_title(
    service: Service, tmp_path: Path, client: str, name: bytes, title: str
) -> None:
    song = tmp_path / name.decode("utf-8", "surrogateescape")
    song.write_bytes(SONG)
    CLIENTS[client](f"{service.url}/separate", song)
    (request, *_) = service.requests
    content_type = request.headers["Content-Type"]
    assert read(content_type, request.body, tmp_path / "read").filename == title


@pytest.mark.parametrize(("said", "title"), [*NODE, *OLD])
def test_names_that_others_sent_are_read(
    tmp_path: Path, said: bytes, title: str
) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; ' + said
    body = head + b"\r\nContent-Type: audio/wav\r\n\r\nla la\r\n--b--\r\n"
    form = read("multipart/form-data; boundary=b", body, tmp_path / "read")
    assert form.filename == title
