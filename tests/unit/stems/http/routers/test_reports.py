"""Reports are made once, at the first request, and deleted with their job."""

import asyncio
import io
import json
import struct
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from threading import Event
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from serve_app.stems.exporter import Exporter
from serve_app.stems.reporter import Reporter
from serve_app.stems.reports import Request
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio

RATE, SECONDS = 44_100, 8
PICTURES = {"png": b"\x89PNG\r\n", "svg": b"<svg"}


def _wav(wave: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _song() -> bytes:
    """Return a song at 120 with a chord, in two channels that differ."""
    time = np.arange(SECONDS * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220.0, 261.6, 329.6))
    struck = 0.1 * chord * np.exp(-6 * (time % 0.5))
    noise = np.random.default_rng(1).standard_normal(len(time))
    clicks = 0.3 * noise * np.exp(-60 * (time % 0.5))
    return _wav(np.stack([struck + clicks, 0.5 * struck + clicks], axis=1))


SONG = _song()
STEM = _wav(np.zeros((SECONDS * RATE, 2)) + 0.25)


@pytest.fixture
def asked() -> list[Request]:
    return []


@pytest.fixture
async def client(
    server: Server, asked: list[Request]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server whose analyzer runs here."""
    reporter = Reporter(server.storage, server.working_dir)
    exporter = Exporter(server.storage, server.working_dir)

    async def of_song(request: Request) -> Any:
        asked.append(request)
        return await asyncio.to_thread(reporter.of_song, request, Event())

    async def of_stem(request: Request) -> Any:
        asked.append(request)
        return await asyncio.to_thread(reporter.of_stem, request, Event())

    analyses = SimpleNamespace(
        analyze_song=of_song,
        analyze_stem=of_stem,
        exact_peaks=lambda *asks: asyncio.to_thread(reporter.peaks, *asks, Event()),
        export=lambda asks: asyncio.to_thread(exporter.export, asks, Event()),
    )
    async with server.with_services(analyses=analyses) as client:
        yield client


@pytest.fixture
async def job(server: Server) -> str:
    return await server.separate(SONG)


@pytest.fixture
async def done(server: Server, job: str) -> str:
    names = ("drums", "bass", "other", "vocals")
    server.succeed(dict.fromkeys(names, STEM))
    return job


async def test_a_songs_report_is_there_before_its_stems(
    client: httpx.AsyncClient, job: str, asked: list[Request]
) -> None:
    report = (await client.get(f"/job/{job}/analysis")).json()
    assert report["bpm"] == pytest.approx(120, abs=0.5)
    assert report["duration"] == SECONDS
    assert -40 < report["loudness"]["integrated_lufs"] < 0
    assert len(report["levels"]["energy_dbfs"]) == SECONDS
    assert (await client.get(f"/job/{job}/analysis")).json() == report
    assert len(asked) == 1


async def test_what_many_ask_for_is_made_once(
    client: httpx.AsyncClient, job: str, asked: list[Request]
) -> None:
    paths = [f"/job/{job}/waveform", f"/job/{job}/analysis"] * 4
    answers = await asyncio.gather(*map(client.get, paths))
    assert {answer.status_code for answer in answers} == {200}
    assert len(asked) == 1


async def test_who_leaves_does_not_stop_what_others_wait_for(
    client: httpx.AsyncClient, job: str, asked: list[Request]
) -> None:
    first = asyncio.ensure_future(client.get(f"/job/{job}/analysis"))
    while not asked:  # noqa: ASYNC110  a list is filled
        await asyncio.sleep(0.01)
    second = asyncio.ensure_future(client.get(f"/job/{job}/analysis"))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await second).status_code == 200
    assert len(asked) == 1


async def test_a_waveform_has_the_peaks_of_the_mean_of_the_channels(
    client: httpx.AsyncClient, job: str
) -> None:
    query = {"format": "dat", "pixels_per_second": "100", "bits": "16"}
    answer = await client.get(f"/job/{job}/waveform", params=query)
    assert answer.headers["content-type"] == "application/octet-stream"
    version, flags, rate, size, length, channels = struct.unpack_from(
        "<iIiiIi", answer.content
    )
    assert (version, flags, rate, size, channels) == (2, 0, RATE, 441, 1)
    pairs = np.frombuffer(answer.content[24:], "<i2").reshape(length, 2)
    mono = soundfile.read(io.BytesIO(SONG), dtype="int16")[0].mean(axis=1)
    slices = mono.reshape(-1, 441)
    assert length == len(slices)
    assert np.abs(pairs[:, 0] - slices.min(axis=1)).max() <= 1
    assert np.abs(pairs[:, 1] - slices.max(axis=1)).max() <= 1


async def test_so_many_peaks_are_exact(client: httpx.AsyncClient, job: str) -> None:
    query = {"format": "library", "num_peaks": "777"}
    found = (await client.get(f"/job/{job}/waveform", params=query)).json()
    mono = soundfile.read(io.BytesIO(SONG))[0].mean(axis=1)
    size = len(mono) // 777
    peaks = np.abs(mono[: size * 777].reshape(777, size)).max(axis=1)
    assert found["num_peaks"] == len(found["peaks"]) == 777
    assert np.abs(np.array(found["peaks"]) - peaks / peaks.max()).max() < 6e-5
    assert found["duration"] == SECONDS


@pytest.mark.parametrize("form", ["peaks", "library"])
async def test_a_part_has_its_own_duration(
    client: httpx.AsyncClient, job: str, form: str
) -> None:
    query = {"format": form, "start": "3", "end": "4.5"}
    found = (await client.get(f"/job/{job}/waveform", params=query)).json()
    assert found["duration"] == 1.5


@pytest.mark.parametrize("num_peaks", [5_000, 7_201, 100_000])
async def test_so_many_peaks_have_all_of_the_song(
    client: httpx.AsyncClient, job: str, num_peaks: int
) -> None:
    query = {"num_peaks": str(num_peaks)}
    found = (await client.get(f"/job/{job}/waveform", params=query)).json()
    covered = found["length"] * found["samples_per_pixel"]
    assert 0 <= covered - SECONDS * RATE < found["samples_per_pixel"]
    assert found["length"] <= num_peaks
    query |= {"format": "peaks"}
    peaks = (await client.get(f"/job/{job}/waveform", params=query)).json()
    assert len(peaks["peaks"][0]) == found["length"]
    assert peaks["duration"] == SECONDS


async def test_an_end_after_the_songs_is_the_songs(
    client: httpx.AsyncClient, job: str
) -> None:
    url = f"/job/{job}/waveform"
    found = (await client.get(url, params={"end": "1e308"})).json()
    assert found == (await client.get(url, params={"unknown": "1"})).json()


async def test_three_bands_are_three_channels(
    client: httpx.AsyncClient, job: str
) -> None:
    query = {"format": "peaks", "bands": "3", "pixels_per_second": "50"}
    found = (await client.get(f"/job/{job}/waveform", params=query)).json()
    assert [len(channel) for channel in found["peaks"]] == [SECONDS * 50] * 3


async def test_a_stem_has_a_waveform_and_a_loudness_of_its_own(
    client: httpx.AsyncClient, done: str
) -> None:
    answer = await client.get(f"/job/{done}/waveform", params={"stem": "bass"})
    assert set(answer.json()["data"]) == {8192}
    report = (await client.get(f"/job/{done}/analysis", params={"stem": "bass"})).json()
    assert report["levels"]["peak_dbfs"] == pytest.approx(-12.04, abs=0.01)
    assert "bpm" not in report


@pytest.mark.parametrize("form", PICTURES)
@pytest.mark.parametrize("what", ["waveform", "analysis"])
async def test_both_are_drawn(
    client: httpx.AsyncClient, done: str, what: str, form: str
) -> None:
    query = {"format": form, "width": "800", "height": "300"}
    for part in ("mix", "drums"):
        answer = await client.get(f"/job/{done}/{what}", params={**query, "stem": part})
        assert answer.headers["content-type"].startswith("image/")
        assert PICTURES[form] in answer.content[:200]


async def test_a_stem_that_is_not_there_yet_is_waited_for(
    client: httpx.AsyncClient, job: str
) -> None:
    answer = await client.get(f"/job/{job}/waveform", params={"stem": "drums"})
    assert_problem(answer, 409, "not_ready")
    answer = await client.get(f"/job/{job}/waveform", params={"stem": "drum"})
    said = assert_problem(answer, 404, "stem_not_found")
    assert "drums, bass, other, vocals" in said
    answer = await client.get(f"/job/{job}/export", params={"format": "stem.mp4"})
    assert_problem(answer, 409, "not_ready")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("waveform?stem=guitar", 404, "stem_not_found"),
        ("analysis?stem=../mix", 404, "stem_not_found"),
        ("waveform?num_peaks=0", 422, "invalid_input"),
        ("waveform?num_peaks=0&format=library", 422, "invalid_input"),
        ("waveform?pixels_per_second=nan", 422, "invalid_input"),
        ("waveform?pixels_per_second=1e-300", 422, "invalid_input"),
        ("waveform?pixels_per_second=1e-5&format=dat", 422, "invalid_input"),
        ("waveform?pixels_per_second=0&format=png", 422, "invalid_input"),
        ("waveform?pixels_per_second=301", 422, "invalid_input"),
        ("waveform?width=0", 422, "invalid_input"),
        ("waveform?format=png&height=-1", 422, "invalid_input"),
        ("analysis?format=png&width=0", 422, "invalid_input"),
        ("analysis?format=png&width=639", 422, "invalid_input"),
        ("waveform?end=inf", 422, "invalid_input"),
        ("waveform?start=nan", 422, "invalid_input"),
        ("waveform?start=2&end=2", 422, "invalid_input"),
        ("waveform?format=dat&format=json", 422, "invalid_input"),
        ("analysis?stem=mix&stem=mix", 422, "invalid_input"),
        ("export?format=cue&format=rekordbox", 422, "invalid_input"),
        ("waveform?num_peaks=10&pixels_per_second=10", 422, "invalid_input"),
        ("waveform?bits=12", 422, "invalid_input"),
        ("waveform?format=mp3", 422, "invalid_input"),
        ("waveform?start=9", 422, "invalid_input"),
        ("waveform?format=png&width=100000", 422, "invalid_input"),
        ("analysis?format=gif", 422, "invalid_input"),
        ("export?format=traktor", 422, "invalid_input"),
        ("export", 422, "invalid_input"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(
    client: httpx.AsyncClient, done: str, path: str, status: int, code: str
) -> None:
    assert_problem(await client.get(f"/job/{done}/{path}"), status, code)


async def test_a_song_is_exported_with_its_grid(
    client: httpx.AsyncClient, job: str
) -> None:
    answer = await client.get(f"/job/{job}/export", params={"format": "rekordbox"})
    assert answer.headers["content-type"] == "application/xml"
    assert 'filename="song.xml"' in answer.headers["content-disposition"]
    track = ET.fromstring(answer.content).find("COLLECTION/TRACK")  # noqa: S314  ours
    assert track is not None
    assert float(track.attrib["AverageBpm"]) == pytest.approx(120, abs=0.5)
    assert track.find("TEMPO") is not None


async def test_stems_are_exported_as_one_file(
    client: httpx.AsyncClient, done: str
) -> None:
    answer = await client.get(f"/job/{done}/export", params={"format": "stem.mp4-alac"})
    assert answer.content[4:8] == b"ftyp"
    assert b"stem" in answer.content
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    "path", ["analysis", "waveform", "export?format=rekordbox", "analysis?stem=bass"]
)
async def test_a_song_that_was_separated_before_has_all_of_it(
    server: Server, client: httpx.AsyncClient, done: str, path: str
) -> None:
    again = await server.separate(SONG)
    assert (await client.get(f"/job/{again}")).json()["cache"] == "hit"
    await client.delete(f"/job/{done}")
    assert (await client.get(f"/job/{again}/{path}")).status_code == 200


FILES = {
    "analysis": "application/json",
    "analysis?format=png": "image/png",
    "waveform?format=dat": "application/octet-stream",
    "export?format=rekordbox": "application/xml",
    "export?format=stem.mp4-alac": "audio/mp4",
}


@pytest.mark.parametrize("path", FILES)
async def test_all_can_be_asked_about_and_gone_on_with(
    client: httpx.AsyncClient, done: str, path: str
) -> None:
    url = f"/job/{done}/{path}"
    about = await client.head(url)
    whole = await client.get(url)
    assert (about.status_code, about.content) == (200, b"")
    for name in ("etag", "content-length", "content-type", "accept-ranges"):
        assert about.headers[name] == whole.headers[name]
    assert whole.headers["content-type"] == FILES[path]
    assert whole.headers["content-length"] == str(len(whole.content))
    etag = whole.headers["etag"]
    for method in ("GET", "HEAD"):
        again = await client.request(method, url, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
    rest = await client.get(url, headers={"Range": "bytes=100-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    size = len(whole.content)
    assert rest.headers["content-range"] == f"bytes 100-{size - 1}/{size}"
    other = await client.get(url, headers={"Range": "bytes=1-", "If-Range": '"old"'})
    assert (other.status_code, other.content) == (200, whole.content)
    beyond = await client.get(url, headers={"Range": f"bytes={size}-"})
    assert_problem(beyond, 416, "range_not_satisfiable")


async def test_an_export_that_is_made_anew_is_another(
    server: Server, client: httpx.AsyncClient, done: str
) -> None:
    url = f"/job/{done}/export?format=cue"
    etag = (await client.head(url)).headers["etag"]
    (file,) = [each for each in server.storage.list("derived") if "export" in each.key]
    server.storage.delete(file.key)
    assert (await client.head(url)).headers["etag"] != etag


async def test_a_picture_of_a_stem_says_which(
    client: httpx.AsyncClient, done: str
) -> None:
    query = {"format": "svg", "stem": "drums"}
    picture = (await client.get(f"/job/{done}/analysis", params=query)).text
    assert ">drums<" in picture
    assert "no beat" not in picture


async def test_all_of_it_goes_with_the_job(
    server: Server, client: httpx.AsyncClient, done: str
) -> None:
    for path in ("analysis", "waveform?stem=bass", "export?format=cue"):
        assert (await client.get(f"/job/{done}/{path}")).status_code == 200
    assert (await client.delete(f"/job/{done}")).status_code == 200
    assert server.left_behind() == []
    assert_problem(await client.get(f"/job/{done}/waveform"), 404, "job_not_found")


async def test_a_report_says_what_the_analysis_of_a_request_says(
    client: httpx.AsyncClient, job: str
) -> None:
    answer = await client.post("/analyze", files={"file": ("song.wav", SONG)})
    report = (await client.get(f"/job/{job}/analysis")).json()
    told = answer.json()
    assert {name: told[name] for name in report} == json.loads(json.dumps(report))
