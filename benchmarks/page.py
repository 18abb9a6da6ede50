"""The player's memory and work with a mix of two hours, in Chromium.

    python benchmarks/page.py [--hours 2] [--seconds 20] [--check]

A small server makes the four stems' bytes and waveforms as they are requested. The page
plays, zoomed in, so that all waveforms scroll; and seeks a few times. It prints the
main thread's work between frames (from a trace), and the memory of the page: what
JavaScript holds with its buffers, and the private memory of the process that renders.
The latter includes copies of the responses, which the browser's inspector keeps for
Playwright: without it the same page took 94 MB at most, in 40 seeks.
With `--check` it fails if the limits are exceeded: a median of 8 ms, 16 ms for 95 of
100 frames, and 300 MB.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from playwright.sync_api import sync_playwright  # noqa: E402

from benchmarks.engine import machine  # noqa: E402
from serve_app.analysis.waveform import MOST_PIXELS, Waveform  # noqa: E402
from tests.browser import FLAGS  # noqa: E402
from tests.page.player import server as page_server  # noqa: E402
from tests.page.player.fake_jobs import RATE, FakeJob, analysis  # noqa: E402
from tests.page.player.test_controls import MOUNT  # noqa: E402
from tests.page.player.test_playing import endless  # noqa: E402

MEDIAN_MS, P95_MS, MOST_MB = 8.0, 16.0, 300.0
_CATEGORIES = "toplevel,devtools.timeline,disabled-by-default-devtools.timeline"


def mix(hours: float, folder: Path) -> FakeJob:
    """Return a completed job of so many hours, with the waveforms of such a song."""
    seconds = 3600 * hours
    job = endless(seconds, folder)
    job.view["analysis"] = analysis(seconds, bpm=124.0)
    job.waveforms = {name: lambda made=made: made for name, made in _waveforms(job)}
    return job


def _waveforms(job: FakeJob) -> Iterator[tuple[str, Waveform]]:
    samples = round(job.view["duration"] * RATE)
    per_pixel = 147
    while samples / per_pixel > MOST_PIXELS:
        per_pixel *= 2
    pixels = samples // per_pixel
    random = np.random.default_rng(1)
    for name in job.stems:
        peaks = np.zeros((pixels, 2), np.int16)
        bands = random.integers(20, 200, (pixels // 2, 3), dtype=np.uint8)
        yield name, Waveform(RATE, samples, per_pixel, peaks, bands)


@contextmanager
def traced(session: Any) -> Iterator[list[dict[str, Any]]]:
    """Record the browser's events while the block runs; they are there after it."""
    events: list[dict[str, Any]] = []
    done: list[bool] = []
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda _: done.append(True))
    session.send("Tracing.start", {"categories": _CATEGORIES})
    yield events
    session.send("Tracing.end")
    while not done:
        session.send("Runtime.evaluate", {"expression": "0"})


def work_by_frame(events: list[dict[str, Any]], clock: str) -> list[float]:
    """Return the milliseconds of work of the page's main thread in each frame.

    A frame lasts from one animation frame's callbacks to the next. `clock` is `dur` for
    the time that passes, and `tdur` for the processor's time: on a busy machine, other
    processes interrupt the thread.
    """
    frames = [each for each in events if each["name"] == "FireAnimationFrame"]
    thread = max(
        {(each["pid"], each["tid"]) for each in frames},
        key=lambda one: sum((e["pid"], e["tid"]) == one for e in frames),
    )
    mine = [each for each in events if (each["pid"], each["tid"]) == thread]
    starts = np.array(
        sorted(e["ts"] for e in mine if e["name"] == "FireAnimationFrame")
    )
    tasks = [e for e in mine if e["name"] == "ThreadControllerImpl::RunTask"]
    work = np.zeros(len(starts) + 1)
    for task in tasks:
        work[np.searchsorted(starts, task["ts"] + 1)] += task.get(clock, 0) / 1000
    return [float(each) for each in work[1:-1]]


def memory_mb(browser: Any, page: Any) -> dict[str, float]:
    """Return the memory of the page, in MB.

    `script` is what JavaScript holds, with its buffers; `process` is the private memory
    of the process that renders the page.
    """
    usage = page.send("Runtime.getHeapUsage")
    script = usage["usedSize"] + usage["backingStorageSize"]
    processes = browser.send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [each["id"] for each in processes if each["type"] == "renderer"]
    return {"script": script / 1e6, "process": max(map(_private_mb, renderers))}


def _private_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("Private")]
    return sum(kilobytes) / 1000


def seek(page: Any, share: float, zoom: int) -> None:
    """Go to a share of the mix by a click, and zoom in there."""
    page.keyboard.press("0")
    box = page.locator(".ruler").bounding_box()
    page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] - 5)
    for _ in range(zoom):
        page.keyboard.press("+")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Play a mix, zoomed in and with seeks; return what it took."""
    with (
        tempfile.TemporaryDirectory() as folder,
        page_server.serving() as server,
        sync_playwright() as playwright,
    ):
        job = mix(options.hours, Path(folder))
        chromium = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=list(FLAGS),
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{server.url}/page/player.html")
        session = page.context.new_cdp_session(page)
        browser = chromium.new_browser_cdp_session()
        before = memory_mb(browser, session)
        page.evaluate(MOUNT, [server.add(job), "en"])
        page.keyboard.press("Space")
        seek(page, 0.5, options.zoom)
        page.wait_for_timeout(2_000)
        with traced(session) as events:
            page.wait_for_timeout(1000 * options.seconds)
        most = memory_mb(browser, session)
        for share in np.linspace(0.05, 0.95, options.seeks):
            seek(page, float(share), options.zoom)
            page.wait_for_timeout(1_000)
            now = memory_mb(browser, session)
            most = {name: max(most[name], now[name]) for name in now}
        heard = page.locator(".position").text_content()
        chromium.close()
    work, passed = (work_by_frame(events, clock) for clock in ("tdur", "dur"))
    return {
        "machine": machine(),
        "hours": options.hours,
        "position": heard,
        "frames": len(work),
        "frames_per_second": round(len(work) / options.seconds, 1),
        "work_ms_median": round(float(np.median(work)), 2),
        "work_ms_p95": round(float(np.percentile(work, 95)), 2),
        "work_ms_most": round(max(work), 2),
        "passed_ms_median": round(float(np.median(passed)), 2),
        "passed_ms_p95": round(float(np.percentile(passed, 95)), 2),
        "memory_mb_before": {name: round(each, 1) for name, each in before.items()},
        "memory_mb_most": {name: round(each, 1) for name, each in most.items()},
    }


def main() -> int:
    """Print the figures as JSON; return 1 if a checked limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="that are traced")
    parser.add_argument("--seeks", type=int, default=10)
    parser.add_argument("--zoom", type=int, default=8, help="steps of zoom")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    found = measure(options)
    found["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(found, indent=2))
    is_within = (
        found["work_ms_median"] <= MEDIAN_MS
        and found["work_ms_p95"] <= P95_MS
        and found["memory_mb_most"]["process"] <= MOST_MB
    )
    return int(options.check and not is_within)


if __name__ == "__main__":
    sys.exit(main())
