"""The files of the page: no code from text, the same texts in each language, weight."""

import re
from ast import literal_eval
from pathlib import Path

import brotli
import pytest

from serve_app.page.bundle import ASSETS
from serve_app.separation.models import _MODELS, FOR_LOAD_TESTS
from serve_app.stems.models import _auto

SCRIPTS = sorted(ASSETS.rglob("*.js"))
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    r"|setHTML|createContextualFragment|DOMParser|srcdoc\s*=|\sstyle="
)
TEXT = re.compile(r"^  '([\w.-]+)': '((?:[^'\\]|\\.)*)',$")
SENTENCE = re.compile(r"'(?:[^'\\]|\\.)*'")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
# The names of these end in what the API says.
OPEN = ("theme", "status", "stage", "format", "stem", "licence", "export")
MAX_BYTES = 150 * 1024


def names(path: Path) -> str:
    return str(path.relative_to(ASSETS))


def texts(code: str, kind: str = "") -> dict[str, str]:
    """Return the texts of a language."""
    lines = (ASSETS / "texts" / f"{kind}{code}.js").read_text().splitlines()
    body = [line for line in lines if line.startswith("  ")]
    found = [TEXT.match(line) for line in body]
    assert all(found), [
        line for line, each in zip(body, found, strict=True) if not each
    ]
    return {each[1]: each[2] for each in found if each}


@pytest.mark.parametrize("path", SCRIPTS, ids=names)
def test_no_script_makes_code_or_elements_of_text(path: Path) -> None:
    source = path.read_text()
    # `dom.js` names an attribute that it refuses.
    assert FORBIDDEN.search(source) is None
    if names(path) != "lib/dom.js":
        assert "createElement" not in source


def test_the_page_has_nothing_inline() -> None:
    page = (ASSETS / "page.html").read_text()
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    # Everything is below the digest, on the page's own origin.
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert all(each.startswith("{base}/") for each in addresses)


@pytest.mark.parametrize("code", ["ko", "id"])
def test_each_language_has_all_texts(code: str) -> None:
    english, other = texts("en"), texts(code)
    assert set(other) == set(english)
    for name, text in english.items():
        assert set(PLACEHOLDER.findall(other[name])) == set(PLACEHOLDER.findall(text))


@pytest.mark.parametrize("code", ["ko", "id"])
def test_each_language_has_what_the_api_says_of_models(code: str) -> None:
    source = (ASSETS / "texts" / f"models.{code}.js").read_text()
    sentences = [literal_eval(each) for each in SENTENCE.findall(source)]
    known = dict(zip(sentences[::2], sentences[1::2], strict=True))
    said = set()
    for model in (*_MODELS, FOR_LOAD_TESTS):
        said |= {model.description, model.trained_on}
        terms = model.licences
        said |= {terms.code.summary, terms.weights.summary, terms.training_data.summary}
    auto = _auto((_MODELS[0], _MODELS[1]))
    names = f"{_MODELS[0].name} or {_MODELS[1].name}"
    said |= {
        each.replace(names, "{names}") for each in (auto.description, auto.trained_on)
    }
    assert set(known) == said
    for english, other in known.items():
        assert other != english
        assert PLACEHOLDER.findall(other) == PLACEHOLDER.findall(english)


def test_each_text_that_is_used_exists_and_each_that_exists_is_used() -> None:
    used = set()
    for path in SCRIPTS:
        if path.parent.name not in ("texts", "player", "controls"):
            used |= set(re.findall(r"'([a-z]+\.[A-Za-z_]+)'", path.read_text()))
    english = {re.sub(r"\.(one|other)$", "", name) for name in texts("en")}
    sections = {name.partition(".")[0] for name in english}
    used = {name for name in used if name.partition(".")[0] in sections}
    assert used - english == set()
    built = (*OPEN, "operations", "column", "queue")
    unused = {name for name in english - used if name.partition(".")[0] not in built}
    assert unused == set()


def test_the_page_is_light() -> None:
    files = [path for path in ASSETS.rglob("*") if path.is_file()]
    sizes = {names(path): len(brotli.compress(path.read_bytes())) for path in files}
    assert sum(sizes.values()) < MAX_BYTES, sizes
