"""Players in a real browser: they seek and play, from the archive and from a source."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from serve_app.archive.http.streaming import app
from serve_app.archive.identity import Identity
from serve_app.database import Database
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from tests import browser
from tests.unit.archive.http.streaming.service import (
    Client,
    Rows,
    StoredObjects,
    origin,
    serving,
)

SECONDS, RATE = 12, 25
# Each before or after the last: what a player has not buffered is asked for by a range.
PLACES = (9.0, 2.5, 6.0)
TIMEOUT_MS = 60_000
# Seeks to each place and plays on; returns how far it came.
PLAY = """async ([kind, url, places]) => {
  const player = document.createElement(kind)
  player.muted = true
  player.crossOrigin = 'anonymous'
  player.preload = 'metadata'
  document.body.append(player)
  const next = name => new Promise((resolve, reject) => {
    player.addEventListener(name, resolve, { once: true })
    player.addEventListener('error', () =>
      reject(new Error(player.error.message)), { once: true })
  })
  const loaded = next('loadedmetadata')
  player.src = url
  await loaded
  const came = []
  for (const place of places) {
    const sought = next('seeked')
    player.currentTime = place
    await sought
    await player.play()
    while (player.currentTime < place + 0.3) await next('timeupdate')
    player.pause()
    came.push(player.currentTime)
  }
  const duration = player.duration
  player.remove()
  return { came, duration }
}"""


def write_video(path: Path) -> None:
    """Write a film of noise: large enough that a player does not buffer all of it."""
    random = np.random.default_rng(1)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        stream.options = {"preset": "ultrafast", "g": str(RATE), "crf": "18"}
        for _ in range(SECONDS * RATE):
            picture = random.integers(0, 255, (240, 320, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def write_audio(path: Path) -> None:
    """Write noise as MP3."""
    random = np.random.default_rng(2)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libmp3lame", rate=44_100, layout="stereo")
        stream.bit_rate = 320_000
        for _ in range(SECONDS):
            noise = random.normal(0, 0.1, (2, 44_100)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            frame.sample_rate = 44_100
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("files")
    write_video(folder / "a.mp4")
    write_audio(folder / "a.mp3")
    return {path.suffix[1:]: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def urls(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], str]]:
    """Serve both files, from the archive and from a source; yield their URLs."""
    folder = tmp_path_factory.mktemp("archive")
    objects = StoredObjects(LocalStorage(folder / "objects"))
    settings = Settings(
        archive_hosts=("127.0.0.1",), archive_allow_networks=("127.0.0.0/8",)
    )
    with (
        Database(f"sqlite:///{folder / 'jobs.sqlite3'}") as database,
        origin() as source,
    ):
        rows = Rows(database)
        with serving(app.build(rows.media, objects, settings)) as client:
            yield {
                **_stored(client, rows, objects, files, folder),
                **{
                    (kind, "source"): client.proxied_url(
                        source.add(f"/a.{name}", files[name], media_type)
                    )
                    for kind, name, media_type in KINDS
                },
            }


KINDS = (("video", "mp4", "video/mp4"), ("audio", "mp3", "audio/mpeg"))


def _stored(
    client: Client,
    rows: Rows,
    objects: StoredObjects,
    files: dict[str, bytes],
    folder: Path,
) -> dict[tuple[str, str], str]:
    found = {}
    for number, (kind, name, media_type) in enumerate(KINDS):
        identity = Identity(number, 1, "example", "720p")
        key = f"{number}/ep1/a.{name}"
        rows.add_ready(files[name], key, identity, media_type=media_type)
        objects.put(key, files[name], folder)
        found[kind, "archive"] = f"{client.url}/stream/{number}/1/example/720p"
    return found


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with browser.launched() as chromium:
        opened = chromium.new_page()
        opened.set_default_timeout(TIMEOUT_MS)
        yield opened


@pytest.mark.parametrize("place", ["archive", "source"])
@pytest.mark.parametrize("kind", ["video", "audio"])
def test_a_player_seeks_and_plays(
    page: Any, urls: dict[tuple[str, str], str], kind: str, place: str
) -> None:
    ranges: list[str] = []

    def on_request(request: Any) -> None:
        ranges.append(request.headers.get("range", ""))

    page.on("request", on_request)
    found = page.evaluate(PLAY, [kind, urls[kind, place], PLACES])
    page.remove_listener("request", on_request)
    assert found["duration"] == pytest.approx(SECONDS, abs=0.2)
    for wanted, came in zip(PLACES, found["came"], strict=True):
        assert wanted + 0.3 <= came < wanted + 3
    assert any(ranges), "the player did not ask for ranges"
