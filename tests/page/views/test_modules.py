"""Modules of the page on their own: streams of events, elements, texts."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.page.views.opened import Opened
from tests.page.views.site import Site

READ = """async ([module, chunks]) => {
  const { messages } = await import(module)
  const stream = new ReadableStream({ start(controller) {
    for (const each of chunks) controller.enqueue(new TextEncoder().encode(each))
    controller.close()
  } })
  const found = []
  for await (const message of messages(stream)) found.push(message)
  return found
}"""
MAKE = """async ([module, tag, props]) => {
  const { el } = await import(module)
  try { return el(tag, props).outerHTML } catch (error) { return error.message }
}"""


@pytest.fixture
def opened(site: Site, browse: Any) -> Opened:
    page: Opened = browse(site)
    return page


def module(opened: Opened, name: str) -> str:
    found: str = opened.page.evaluate(
        "document.querySelector('script').src.replace(/main.js$/, '')"
    )
    return found + name


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (["id: 1\ndata: a\n\n"], [{"id": "1", "data": "a"}]),
        (["\ufeffdata: a\r", "\n\r\nda", "ta:b\n\n"], [("a"), ("b")]),
        (["data: a\rdata:  b\r\r:x\n"], ["a\n b", {"comment": "x"}]),
        ([": reconnect\nretry: 120\n\n"], [{"comment": "reconnect"}, {"retry": 120}]),
        (["retry: soon\nevent: x\nother\n\ndata\n\n"], [""]),
        (["data: a\n\ndata: cut off"], ["a"]),
        (
            ["id: 7\ndata: a\n\ndata: b\n\n"],
            [{"id": "7", "data": "a"}, {"id": "7", "data": "b"}],
        ),
    ],
)
def test_streams_of_events(
    opened: Opened, chunks: list[str], expected: list[Any]
) -> None:
    found = opened.page.evaluate(READ, [module(opened, "lib/events.js"), chunks])
    wanted = [
        each if isinstance(each, dict) else {"id": "", "data": each}
        for each in expected
    ]
    assert found == wanted


@pytest.mark.parametrize(
    ("props", "expected"),
    [
        ({"class": "a", "title": '"><b>'}, '<p class="a" title="&quot;&gt;<b>"></p>'),
        (
            {"hidden": True, "lang": None, "aria-busy": False},
            '<p hidden="" aria-busy="false"></p>',
        ),
        ({"style": {"width": "1px"}}, '<p style="width: 1px;"></p>'),
        (
            {"onclick": "alert(1)"},
            'onclick would run text as code. Use the property "on".',
        ),
        (
            {"href": "javascript:alert(1)"},
            "href must be an http or https URL, got javascript:",
        ),
    ],
)
def test_elements_run_no_text(
    opened: Opened, props: Mapping[str, Any], expected: str
) -> None:
    made = opened.page.evaluate(MAKE, [module(opened, "lib/dom.js"), "p", props])
    assert made.replace("<b>", "&lt;b&gt;") == expected.replace("<b>", "&lt;b&gt;")
