"""A page in the browser, and what must not happen in it."""

import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

TIMEOUT_MS = 15_000
# Collects what the policy refuses, before any script of the page runs.
_WATCH = """document.addEventListener('securitypolicyviolation', (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"""
# Drops files of which only the bytes are there.
_DROP = """([names, contents]) => {
  const transfer = new DataTransfer()
  names.forEach((name, index) => {
    const bytes = Uint8Array.from(atob(contents[index]), (each) => each.charCodeAt(0))
    transfer.items.add(new File([bytes], name))
  })
  const fire = (name) => document.querySelector('.zone').dispatchEvent(
    new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: transfer }))
  fire('dragover')
  fire('drop')
}"""


class Addressed(Protocol):
    """A server with the page."""

    @property
    def url(self) -> str:
        """Its address, without a final slash."""


@dataclass
class Opened:
    """A page of a site, with the requests and errors that were seen."""

    site: Addressed
    context: Any
    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def see(self, text: str, **options: Any) -> None:
        """Wait until a text can be seen."""
        self.page.get_by_text(text, **options).first.wait_for()

    def until(self, expression: str) -> None:
        """Wait until an expression is true. The policy lets no page evaluate one."""
        ends_at = time.monotonic() + TIMEOUT_MS / 1000
        while not self.page.evaluate(expression):
            assert time.monotonic() < ends_at, expression
            time.sleep(0.02)

    def drop(self, *files: tuple[str, bytes]) -> None:
        """Drop files on the page."""
        names = [name for name, _ in files]
        contents = [b64encode(data).decode() for _, data in files]
        self.page.evaluate(_DROP, [names, contents])

    def drag(self, *paths: Path) -> None:
        """Drag files and folders of the disk onto the page, as a file manager does."""
        session = self.context.new_cdp_session(self.page)
        box = self.page.locator(".zone").bounding_box()
        files = [str(path) for path in paths]
        event = {
            **{"x": box["x"] + 20, "y": box["y"] + 20},
            "data": {"items": [], "files": files, "dragOperationsMask": 1},
        }
        for kind in ("dragEnter", "dragOver"):
            session.send("Input.dispatchDragEvent", {"type": kind, **event})
        self.page.locator(".zone.over").wait_for()
        session.send("Input.dispatchDragEvent", {"type": "drop", **event})
        self.page.locator(".zone:not(.over)").wait_for()

    def choose(self, *paths: Path) -> None:
        """Choose files by the button."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Choose files").click()
        chooser.value.set_files(list(paths))

    def file(self, name: str) -> Any:
        """Return the link to a file that can be taken away."""
        return self.page.get_by_label("Take away").get_by_role("link", name=name)

    def paths(self) -> Sequence[str]:
        """Return the paths that were requested, with their queries."""
        return [url.removeprefix(self.site.url) for url in self.requests]

    def check(self) -> None:
        """Fail if anything left the origin, or an error was written."""
        origin = "/".join(self.site.url.split("/")[:3])
        # Blobs and data come from the page itself.
        own = (f"{origin}/", "blob:", "data:")
        assert [url for url in self.requests if not url.startswith(own)] == []
        assert not self.errors, self.errors


def opened(
    chromium: Any,
    site: Addressed,
    path: str,
    *,
    scheme: str = "light",
    width: int = 1280,
    **options: Any,
) -> Opened:
    """Open a path of a site in a browser of its own."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        locale=options.pop("locale", "en-US"),
        **options,
    )
    context.add_init_script(_WATCH)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    found = Opened(site, context, page)
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("console", lambda said: _note(said, found.errors))
    # Choosers are caught from the first listener on, which takes effect later.
    page.on("filechooser", lambda _: None)
    page.goto(f"{site.url}{path}")
    return found


def _note(said: Any, errors: list[str]) -> None:
    # Chromium itself reports each response with an error; tests send them on purpose.
    if said.type == "error" and "Failed to load resource" not in said.text:
        errors.append(said.text)
