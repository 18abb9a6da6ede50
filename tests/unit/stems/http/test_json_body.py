"""Songs that lie elsewhere, as JSON names them."""

import json
from typing import Any

import pytest

from serve_app.errors import BadRequest, InvalidField
from serve_app.stems.http import json_body as references

FIELDS = ("model", "stems", "reuse")
URL = "https://example.com/song.mp3"


def parsed(**body: Any) -> references.Reference:
    return references.parsed(json.dumps(body).encode(), FIELDS)


def test_a_url_or_an_upload_names_a_song() -> None:
    assert parsed(url=URL) == references.Reference(URL, "", None, ())
    assert parsed(upload_id="ab", url=None).upload_id == "ab"
    assert parsed(url=URL, filename="노래.mp3").filename == "노래.mp3"


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("drums,bass", ["drums,bass"]),
        (["drums", "bass"], ["drums", "bass"]),
        ([], []),
        (None, []),
        ("", [""]),
        (True, ["true"]),
        (7, ["7"]),
    ],
)
def test_fields_are_what_those_of_a_form_would_be(value: Any, texts: list[str]) -> None:
    assert parsed(url=URL, stems=value).fields == tuple(("stems", t) for t in texts)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": URL, "upload_id": "ab"}, "url"),
        ({"url": 5}, "url"),
        ({"url": [URL]}, "url"),
        ({"upload_id": {}}, "upload_id"),
        ({"url": URL, "filename": 5}, "filename"),
        ({"url": URL, "colour": "red"}, "colour"),
        ({"url": URL, "file": "song.mp3"}, "file"),
        ({"url": URL, "stems": {"drums": True}}, "stems"),
        ({"url": URL, "stems": [["drums"]]}, "stems"),
        ({"url": URL, "x" * 5000: 1}, "x" * 40),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parsed(**body)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"url": 5}, '"url" must be a string, got a number.'),
        ({"url": URL, "filename": True}, '"filename" must be a string, got a boolean.'),
        (
            {"url": URL, "stems": [None]},
            '"stems" must be a string or a list of strings, got null.',
        ),
        (
            {"url": URL, "stems": {"drums": True}},
            '"stems" must be a string or a list of strings, got an object.',
        ),
        (
            {"url": URL, "stems": [["drums"]]},
            '"stems" must be a string or a list of strings, got a list.',
        ),
    ],
)
def test_a_wrong_type_is_refused_with_the_right_one(
    body: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        parsed(**body)
    assert caught.value.detail == said


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("a/b.mp3", "b.mp3"),
        ('12" Mix.mp3', '12" Mix.mp3'),
        ("back\\slash.mp3", "back\\slash.mp3"),
        ("..", "song"),
        ("a\nb", "a b"),
        ("x" * 256, "x" * 255),
        ("half \ud83c.mp3", "half \ufffd.mp3"),
        ("", None),
        (None, None),
    ],
)
def test_any_name_is_taken(name: str | None, title: str | None) -> None:
    assert parsed(url=URL, filename=name).filename == title


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"https://example.com"',
        b"null",
        b"\xff\xfe",
        b'{"url": "\\ud800"}',
        b"[" * 60_000,
        b'{"url": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        references.parsed(body, FIELDS)
