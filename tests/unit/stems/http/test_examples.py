"""The examples at `/docs` do what they show, as they are pasted: whole programs."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from serve_app.errors import JobNotFound
from serve_app.stems.exporter import Exporter
from serve_app.stems.reporter import Reporter
from serve_app.stems.reports import Request
from serve_app.stems.request import SeparationJob
from serve_app.storage.uploads import S3Uploads
from serve_app.webhooks import signing
from serve_app.webhooks.target import Webhook
from tests.s3 import S3Server
from tests.unit.client.service import closed_port
from tests.unit.live import separating, serving
from tests.unit.server import Server

# The tests themselves may block: what they ask runs in a thread and in processes.
pytestmark = pytest.mark.usefixtures("anyio_backend")

EXAMPLES = Path(__file__).parents[4] / "serve_app" / "stems" / "http" / "examples"
SERVER = "http://localhost:8000"
RECEIVER = "8787"
NO_JOB = "0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
SECRET = "whsec_" + "c2VjcmV0" * 4
SONG_URL = "https://example.com/song.mp3"

PROGRAMS = {
    "curl": ["bash", "-eu"],
    "Python": [sys.executable],
    "JavaScript": ["node", "--experimental-eventsource"],
}
SUFFIXES = {"curl": ".sh", "Python": ".py", "JavaScript": ".mjs"}


def param(language: str) -> object:
    program = "curl" if language == "curl" else PROGRAMS[language][0]
    missing = pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is not installed"
    )
    return pytest.param(language, marks=missing)


in_every_language = pytest.mark.parametrize("language", [*map(param, PROGRAMS)])


@dataclass
class Reader:
    """Somebody who pastes examples, in an empty directory with a song in it."""

    url: str
    directory: Path
    examples: dict[tuple[str, str, str], dict[str, str]]

    def command(
        self, call: tuple[str, str, str], label: str, **replaced: str
    ) -> list[str]:
        source = self.examples[call][label]
        for old, new in {SERVER: self.url, **replaced}.items():
            source = source.replace(old, new)
        language = label.partition(",")[0]
        # Named apart, so that several may run at once.
        path = self.directory / f"example{abs(hash(call))}{SUFFIXES[language]}"
        path.write_text(source)
        return [*PROGRAMS[language], str(path)]

    def run(
        self, call: tuple[str, str, str], label: str, job_id: str = NO_JOB
    ) -> "subprocess.CompletedProcess[str]":
        command = self.command(call, label, **{NO_JOB: job_id})
        return subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, timeout=60
        )

    def read(self, name: str) -> str:
        return (self.directory / name).read_text()


SEPARATE = ("paths", "/separate", "post")
JOB = ("paths", "/job/{job_id}", "get")
DELETE = ("paths", "/job/{job_id}", "delete")
EVENTS = ("paths", "/job/{job_id}/events", "get")
STEM = ("paths", "/job/{job_id}/stems/{stem_name}", "get")
ANALYSIS = ("paths", "/job/{job_id}/analysis", "get")
WAVEFORM = ("paths", "/job/{job_id}/waveform", "get")
EXPORT = ("paths", "/job/{job_id}/export", "get")
UPLOADS = ("paths", "/uploads", "post")
ANALYZE = ("paths", "/analyze", "post")
WEBHOOK = ("webhooks", "job.completed", "post")


@contextmanager
def reading(server: Server, song: bytes, **changes: Any) -> Iterator[Reader]:
    app = server.app_with(**changes)
    directory = server.files_dir.parent / "reader"
    directory.mkdir()
    (directory / "song.mp3").write_bytes(song)
    with serving(app) as url, separating(server):
        description = httpx.get(f"{url}/openapi.json").json()
        examples = {
            (part, name, method): {
                sample["label"]: sample["source"]
                for sample in operation["x-codeSamples"]
            }
            for part in ("paths", "webhooks")
            for name, methods in description[part].items()
            for method, operation in methods.items()
            if "x-codeSamples" in operation
        }
        yield Reader(url, directory, examples)


@pytest.fixture
def reader(server: Server, song: bytes) -> Iterator[Reader]:
    with reading(server, song, **hearing(server)) as reader:
        yield reader


def hearing(server: Server) -> dict[str, Any]:
    """Return the services that hear the songs of jobs, in place of an analyzer."""
    storage, working_dir = server.storage, server.working_dir
    reporter, exporter = Reporter(storage, working_dir), Exporter(storage, working_dir)

    async def analyze_song(request: Request) -> Mapping[str, Any]:
        if not request.place:
            return await server.pools.analyze_song(request)
        return await asyncio.to_thread(reporter.of_song, request, Event())

    analyses = SimpleNamespace(
        analyze_song=analyze_song,
        analyze_stem=lambda asks: asyncio.to_thread(reporter.of_stem, asks, Event()),
        exact_peaks=lambda *asks: asyncio.to_thread(reporter.peaks, *asks, Event()),
        export=lambda asks: asyncio.to_thread(exporter.export, asks, Event()),
    )
    return {"analyses": analyses}


def assert_done(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def only_job(server: Server) -> SeparationJob:
    (job,) = server.store.listed("", 9)
    return job


def finished_job(server: Server, reader: Reader) -> str:
    with open(reader.directory / "song.mp3", "rb") as song:
        answer = httpx.post(f"{reader.url}/separate", files={"file": song})
    job_id = str(answer.json()["job_id"])
    job = httpx.get(f"{reader.url}/job/{job_id}", params={"wait": 30}).json()
    assert job["status"] == "completed"
    return job_id


def test_every_file_is_an_example_of_a_call(reader: Reader) -> None:
    shown = {text for call in reader.examples.values() for text in call.values()}
    assert shown == {path.read_text() for path in EXAMPLES.iterdir() if path.is_file()}
    for call, examples in reader.examples.items():
        assert {label.partition(",")[0] for label in examples} == set(PROGRAMS), call


@in_every_language
def test_a_song_is_separated(server: Server, reader: Reader, language: str) -> None:
    assert "completed" in assert_done(reader.run(SEPARATE, language))
    assert only_job(server).request.options.stems == ("drums", "vocals")
    assert [reader.read(f"{name}.wav") for name in ("vocals", "drums")] == [
        *("vocals", "drums")
    ]
    # Now the song is known, and the first answer says that it is completed.
    (reader.directory / "vocals.wav").unlink()
    assert "completed" in assert_done(reader.run(SEPARATE, language))
    caches = [job.result.cache for job in server.store.listed("", 9) if job.result]
    assert sorted(caches, key=str) == [None, "hit"]
    assert reader.read("vocals.wav") == "vocals"


@in_every_language
def test_a_song_from_the_web_is_taken(
    server: Server, song: bytes, language: str
) -> None:
    asked: list[str] = []

    def fetch(url: str, path: Path, _: object) -> str:
        asked.append(url)
        path.write_bytes(song)
        return "song.mp3"

    with reading(server, song, fetch=fetch) as reader:
        told = assert_done(reader.run(SEPARATE, f"{language}, by URL"))
    assert asked == [SONG_URL]
    job = only_job(server)
    assert job.id in told
    assert job.request.options.stems == ("vocals", "accompaniment")
    assert job.request.options.format == "flac"


@in_every_language
def test_a_job_is_looked_at(server: Server, reader: Reader, language: str) -> None:
    job_id = finished_job(server, reader)
    told = assert_done(reader.run(JOB, language, job_id))
    assert "completed" in told
    assert f"/job/{job_id}/stems/vocals" in told


@in_every_language
def test_a_stem_is_downloaded(server: Server, reader: Reader, language: str) -> None:
    job_id = finished_job(server, reader)
    assert_done(reader.run(STEM, language, job_id))
    assert reader.read("vocals.wav") == "vocals"


@in_every_language
def test_a_song_is_reported_drawn_and_exported(
    server: Server, reader: Reader, language: str
) -> None:
    job_id = finished_job(server, reader)
    result = server.store.get(job_id).result
    assert result is not None
    for stem in result.stems:
        server.storage.put(stem.key, reader.directory / "song.mp3")
    assert "lufs" in assert_done(reader.run(ANALYSIS, language, job_id)).lower()
    assert (reader.directory / "song.png").read_bytes().startswith(b"\x89PNG")
    told = assert_done(reader.run(WAVEFORM, language, job_id))
    if language == "JavaScript":
        assert "1918 peaks, 1 seconds" in told
    else:
        # 1 s at 44.1 kHz, 50 pixels a second, 2 numbers each.
        assert (reader.directory / "song.dat").stat().st_size == 24 + 2 * 50
    assert_done(reader.run(EXPORT, language, job_id))
    assert "<DJ_PLAYLISTS" in reader.read("rekordbox.xml")


@in_every_language
def test_a_job_is_followed_to_its_end(
    server: Server, reader: Reader, language: str
) -> None:
    job_id = finished_job(server, reader)
    assert "completed" in assert_done(reader.run(EVENTS, language, job_id))


@in_every_language
def test_a_job_is_deleted(server: Server, reader: Reader, language: str) -> None:
    job_id = finished_job(server, reader)
    assert "deleted" in assert_done(reader.run(DELETE, language, job_id))
    with pytest.raises(JobNotFound):
        server.store.get(job_id)


@in_every_language
def test_a_job_that_is_none_is_a_failure(reader: Reader, language: str) -> None:
    with ThreadPoolExecutor() as pool:
        calls = (STEM, JOB, EVENTS, ANALYSIS, WAVEFORM, EXPORT, DELETE)
        for done in pool.map(lambda call: reader.run(call, language), calls):
            assert done.returncode != 0, done.args
    for name in ("vocals.wav", "song.png", "song.dat", "rekordbox.xml"):
        assert not (reader.directory / name).exists()


@in_every_language
def test_a_song_is_analysed(reader: Reader, language: str) -> None:
    told = assert_done(reader.run(ANALYZE, language))
    assert "124" in told
    assert "C# minor" in told


@in_every_language
def test_a_long_song_is_analysed_as_a_job(reader: Reader, language: str) -> None:
    told = assert_done(reader.run(ANALYZE, f"{language}, as a job"))
    assert "124" in told
    assert "C# minor" in told


@in_every_language
def test_a_file_is_sent_to_the_store(
    server: Server, song: bytes, s3: S3Server, language: str
) -> None:
    with (
        s3.new_bucket() as bucket,
        reading(server, song, uploads=S3Uploads(bucket, 60)) as reader,
    ):
        told = assert_done(reader.run(UPLOADS, language))
    job = only_job(server)
    assert job.id in told
    assert (job.request.source.filename, job.request.source.size_bytes) == (
        "song.mp3",
        len(song),
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_webhook_is_asked_for(server: Server, song: bytes) -> None:
    def check(url: str) -> None:
        assert url == f"http://127.0.0.1:{RECEIVER}/"

    with reading(server, song, check_webhook=check) as reader:
        told = assert_done(reader.run(WEBHOOK, "curl"))
    job = only_job(server)
    assert job.id in told
    assert isinstance(job.request.webhook, Webhook)
    assert set(job.request.webhook.events) == {"job.completed", "job.failed"}


@contextmanager
def receiving(reader: Reader, language: str) -> Iterator[str]:
    """Run the receiver of webhooks until the block ends; yield its address."""
    port = str(closed_port())
    url = f"http://127.0.0.1:{port}/"
    command = reader.command(WEBHOOK, language, **{RECEIVER: port})
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET}
    transport = httpx.HTTPTransport(retries=9)
    with (
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process,
        httpx.Client(transport=transport) as client,
    ):
        try:
            client.post(url, content=b"knock")
            yield url
        finally:
            process.terminate()


@pytest.mark.parametrize("language", [param("Python"), param("JavaScript")])
def test_a_webhook_is_taken_if_it_is_genuine(reader: Reader, language: str) -> None:
    body = b'{"type": "job.completed", "data": {"job_id": "j1"}}'
    key, now = signing.key_of(SECRET), datetime.now(UTC)
    good = signing.headers([key], "msg_1", body, now)
    both = signing.headers([b"another" * 4, key], "msg_1", body, now)
    old = signing.headers([key], "msg_1", body, now - timedelta(seconds=400))
    foreign = signing.headers([b"another" * 4], "msg_1", body, now)
    with receiving(reader, language) as url:

        def answer(headers: dict[str, str], content: bytes = body) -> int:
            return httpx.post(url, content=content, headers=headers).status_code

        assert [answer(good), answer(both)] == [204, 204]
        assert answer(good, body.replace(b"j1", b"j2")) == 401
        assert [answer(old), answer(foreign), answer({})] == [401, 401, 401]
        assert answer({**good, "webhook-timestamp": "now"}) == 401
