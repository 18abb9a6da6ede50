"""Take the pictures of the page: `python -m tools.screenshots --song FILE`.

Needs Chromium and a server that runs. The song is sent to it; its pictures are taken
while it is separated and when it is done, light, dark, and on a phone.
"""

import argparse
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

_LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 360)}
_TIMEOUT_MS = 300_000
_COLOURS = 256


def main() -> None:
    """Take all pictures."""
    options = _parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        song = _running(chromium, options)
        for look in _LOOKS:
            with _opened(chromium, f"{options.url}/page", look) as page:
                page.get_by_text("Licence").first.wait_for()
                _save(page, options.out / f"start-{look}.png")
            with _opened(chromium, song, look) as page:
                _play(page)
                _save(page, options.out / f"song-{look}.png")
            with _opened(chromium, f"{options.url}/page/operations", look) as page:
                page.get_by_role("heading", name="Queue").first.wait_for()
                _save(page, options.out / f"operations-{look}.png")
        chromium.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--song", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    return parser


def _running(chromium: Browser, options: argparse.Namespace) -> str:
    """Send the song, take pictures while it is separated, return its address."""
    with _opened(chromium, f"{options.url}/page", "light") as page:
        page.set_input_files("input[type=file] >> nth=0", options.song)
        page.wait_for_url("**/page/songs/*")
        for look in _LOOKS:
            with _opened(chromium, page.url, look) as other:
                other.get_by_text("can be played already").wait_for()
                _save(other, options.out / f"running-{look}.png")
        page.get_by_text("Take away").wait_for()
        return page.url


def _play(page: Page) -> None:
    """Play a bit of the refrain, zoomed in."""
    page.get_by_text("BPM").wait_for()
    for _ in range(3):
        page.keyboard.press("+")
    page.keyboard.press("Space")
    page.wait_for_timeout(3000)
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)


@contextmanager
def _opened(chromium: Browser, url: str, look: str) -> Iterator[Any]:
    scheme, width = _LOOKS[look]
    size = {"width": width, "height": 800}
    context = chromium.new_context(color_scheme=scheme, viewport=size, locale="en-US")  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    page.goto(url)
    yield page
    context.close()


def _save(page: Page, path: Path) -> None:
    """Save a picture of the whole page, with few colours so that it stays small."""
    page.wait_for_timeout(500)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    picture.convert("RGB").quantize(_COLOURS).save(path, optimize=True)
    print(path, flush=True)


if __name__ == "__main__":
    main()
