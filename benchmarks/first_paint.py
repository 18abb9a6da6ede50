"""How soon the page shows something, in Chromium.

    python benchmarks/first_paint.py [--loads 9] [--against DIRECTORY] [--check]

The application runs in a process of its own, without Ray. The page is loaded in turn
for each set of files: those of this checkout, and those in `--against`, an `assets`
directory of another one. Other load on the machine then affects both equally. Each load
is in a new browser context: at first without a cache, then with what the first one left
in it. Times are in milliseconds since the navigation, medians: `first_paint` and
`content` (the first contentful paint) from the browser, and `view` when the view's
heading is there. `--latency-ms` delays each request, as a network does. With `--check`
it fails if the content comes later than 500 ms.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from playwright.sync_api import sync_playwright  # noqa: E402

from benchmarks.engine import machine  # noqa: E402
from serve_app.database import Database  # noqa: E402
from serve_app.page.bundle import ASSETS  # noqa: E402
from tests import ports  # noqa: E402
from tests.browser import FLAGS  # noqa: E402
from tests.page.views import site as sites  # noqa: E402

LATEST_MS = 500.0
_WATCH = """new MutationObserver((_, watch) => {
  if (!document.querySelector('main h1')) return
  watch.disconnect()
  window.viewAt = performance.now()
}).observe(document, { childList: true, subtree: true })"""
_TIMES = """() => {
  const at = (name) => performance.getEntriesByName(name)[0]?.startTime ?? null
  return { first_paint: at('first-paint'), content: at('first-contentful-paint'),
    view: window.viewAt }
}"""

Times = Mapping[str, float]


def serve(assets: Path, told: Connection) -> None:
    """Tell the address of the page in `assets`; serve it until the other end speaks."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "jobs.sqlite3"
        Database(f"sqlite:///{database}").close()
        with sites.serving(Path(folder), database, ports.free_port()) as site:
            site.stop()
            site.assets = assets
            site.start()
            told.send(site.url)
            told.recv()


@contextmanager
def served(assets: Path) -> Iterator[str]:
    """Serve the page in `assets` by a process; yield its address."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=serve, args=(assets, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join()


def load(context: Any, url: str, latency_ms: float) -> Times:
    """Load the page in a new tab; return its times."""
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    network = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", {**network, "latency": latency_ms})
    page.goto(f"{url}/page")
    page.locator("main h1").wait_for()
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint')[0]")
    found: Times = page.evaluate(_TIMES)
    page.close()
    return found


def loads(chromium: Any, url: str, latency_ms: float) -> dict[str, Times]:
    """Load the page without a cache, then with one."""
    # Playwright's functions need `eval`, which the policy refuses.
    context = chromium.new_context(bypass_csp=True)
    context.add_init_script(_WATCH)
    found = {name: load(context, url, latency_ms) for name in ("new", "cached")}
    context.close()
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the medians of each set of files, new and cached."""
    sets = {"this": ASSETS, **({"other": options.against} if options.against else {})}
    seen: dict[str, list[dict[str, Times]]] = {name: [] for name in sets}
    with ExitStack() as stack:
        urls = {name: stack.enter_context(served(path)) for name, path in sets.items()}
        chromium = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=list(FLAGS),
        )
        for url in urls.values():
            loads(chromium, url, options.latency_ms)
        for _ in range(options.loads):
            for name, url in urls.items():
                seen[name].append(loads(chromium, url, options.latency_ms))
        chromium.close()
    return {name: _medians(each) for name, each in seen.items()}


def _medians(found: list[dict[str, Times]]) -> dict[str, dict[str, float]]:
    return {
        cache: {
            name: round(statistics.median(each[cache][name] for each in found), 1)
            for name in found[0][cache]
        }
        for cache in ("new", "cached")
    }


def main() -> int:
    """Print the figures as JSON; return 1 if the checked limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=9)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--against", type=Path, help="an `assets` directory")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    print(json.dumps({"machine": machine(), **found}, indent=2))
    latest = max(times["content"] for times in found["this"].values())
    return int(options.check and latest > LATEST_MS)


if __name__ == "__main__":
    sys.exit(main())
