"""The files of the page have one digest, and are compressed once."""

import gzip
import re
from pathlib import Path

import brotli
import pytest

from serve_app.page.bundle import ASSETS, Bundle

HTML = '<meta content="{root}">{modules}<link href="{base}/style.css">'
VIEW = "lib/dom.js"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "page.html").write_text(HTML)
    (tmp_path / "main.js").write_text("export {}\n" * 100)
    (tmp_path / "lib" / "dom.js").write_text("x")
    (tmp_path / ".hidden").write_text("notes")
    return tmp_path


def test_each_form_of_a_file_has_its_bytes(directory: Path) -> None:
    bundle = Bundle(directory)
    file = bundle.find(bundle.digest, "main.js")
    assert file is not None
    assert file.media_type == "text/javascript; charset=utf-8"
    assert file.body == (directory / "main.js").read_bytes()
    assert list(file.encoded) == ["br", "gzip"]
    assert brotli.decompress(file.encoded["br"]) == file.body
    assert gzip.decompress(file.encoded["gzip"]) == file.body


def test_a_file_that_compression_makes_larger_is_sent_as_it_is(directory: Path) -> None:
    bundle = Bundle(directory)
    file = bundle.find(bundle.digest, "lib/dom.js")
    assert file is not None
    assert not file.encoded


def test_only_files_of_this_version_are_found(directory: Path) -> None:
    bundle = Bundle(directory)
    others = ("", "none.js", "page.html", ".hidden", "../test_bundle.py", "lib")
    assert [bundle.find(bundle.digest, name) for name in others] == [None] * len(others)
    assert bundle.find("0" * 16, "main.js") is None


@pytest.mark.parametrize("name", ["main.js", "page.html", "new.css"])
def test_the_digest_changes_with_each_file(directory: Path, name: str) -> None:
    before = Bundle(directory).digest
    assert Bundle(directory).digest == before
    (directory / name).write_text("other")
    assert Bundle(directory).digest != before


def test_the_digest_changes_with_a_name(directory: Path) -> None:
    before = Bundle(directory).digest
    (directory / "main.js").rename(directory / "lib" / "main.js")
    assert Bundle(directory).digest != before


@pytest.mark.parametrize(
    ("root", "path"),
    [("", ""), ("/music", "/music"), ('/"><script>', "/%22%3E%3Cscript%3E")],
)
def test_the_page_knows_its_application_and_its_version(
    directory: Path, root: str, path: str
) -> None:
    bundle = Bundle(directory)
    base = f"{path}/page/{bundle.digest}"
    links = "\n".join(
        f'<link rel="modulepreload" href="{base}/{name}" fetchpriority="low">'
        for name in ("main.js", VIEW)
    )
    expected = f'<meta content="{path}">{links}<link href="{base}/style.css">'
    assert bundle.page(root, VIEW).body.decode() == expected


def test_a_file_of_an_unknown_type_stops_the_start(directory: Path) -> None:
    (directory / "lib" / "notes.doc").write_text("x")
    with pytest.raises(ValueError, match=r"lib/notes\.doc must end with one of \.css"):
        Bundle(directory)


def test_files_without_a_page_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"page\.html"):
        Bundle(tmp_path)


def test_our_own_files_are_complete() -> None:
    bundle = Bundle()
    page = bundle.page("", "views/start.js").body.decode()
    assert re.findall(r"\{\w+\}", page) == []
    for name in ("main.js", "style.css"):
        assert f"/page/{bundle.digest}/{name}" in page
        assert bundle.find(bundle.digest, name) is not None
    assert (ASSETS / "page.html").is_file()
