"""JSON bodies that refer to a song, by a URL or an upload, with options of a form."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from serve_app.errors import BadRequest, InvalidField
from serve_app.filenames import titles
from serve_app.stems.options import Option, names

MEDIA_TYPE = "application/json"

URL = Option(
    "url",
    "The song's address: `https://…`, or `s3://bucket/key` in a bucket that the "
    "operator allows. Give either this or `upload_id`.",
    example="https://example.com/song.mp3",
    is_url=True,
)
UPLOAD_ID = Option(
    "upload_id",
    "Id of a file that was sent by `POST /uploads`.",
    example="0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f",
)
FILENAME = Option(
    "filename",
    "The song's name, any text. When left out, the name that the file has there.",
    example="song.mp3",
)
REFERENCE = (URL, UPLOAD_ID, FILENAME)


@dataclass(frozen=True)
class Reference:
    """A song's URL or the id of its upload, and the text fields beside it."""

    url: str
    upload_id: str
    filename: str | None
    fields: tuple[tuple[str, str], ...]


def is_json(headers: Headers) -> bool:
    """Whether the body of a request is JSON, by its headers."""
    kind = headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == MEDIA_TYPE


async def read(request: Request, fields: Sequence[str]) -> Reference:
    """Read the body of `request`, which may have `fields` beside its reference.

    Raises BadRequest if it isn't a JSON object, and InvalidField for a wrong field.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk  # `Bodies` limits its length.
    except ClientDisconnect as err:
        raise BadRequest("The connection was closed too early. Send it again.") from err
    return parsed(bytes(body), fields)


def parsed(body: bytes, fields: Sequence[str]) -> Reference:
    """Return the reference in `body`; raises as `read` does."""
    try:
        found = _titled(json.loads(body))
        # Escapes can stand for half a character, which nothing else can hold.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as err:
        raise BadRequest(
            "The body is not valid JSON. Correct it and send it again."
        ) from err
    if not isinstance(found, dict):
        raise BadRequest(
            'The body must be a JSON object, such as {"url": "https://…"}.'
        )
    known = (*names(REFERENCE), *fields)
    for name in found:
        if name not in known:
            raise InvalidField(
                f"Unknown field {name[:40]!r}. The fields of the body are: "
                f"{', '.join(known)}. To send the file itself, send a form.",
                name[:40],
            )
    reference = Reference(
        url=_text(found, URL),
        upload_id=_text(found, UPLOAD_ID),
        filename=_text(found, FILENAME) or None,
        fields=tuple(pair for name in fields for pair in _pairs(found, name)),
    )
    if bool(reference.url) == bool(reference.upload_id):
        raise InvalidField(
            'Give either "url" or "upload_id". To send the file itself, send a form: '
            "curl -F file=@song.mp3.",
            URL.name,
        )
    return reference


def _titled(found: Any) -> Any:
    """Return a body with its file name, which may be any text, made a title."""
    name = found.get(FILENAME.name) if isinstance(found, dict) else None
    if not isinstance(name, str):
        return found
    return {**found, FILENAME.name: name and titles.clean(name)}


def _text(found: Mapping[str, Any], option: Option) -> str:
    """Return a field that is a string, empty if it is left out."""
    value = found.get(option.name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(option.name, "a string", value)
    return value


def _pairs(found: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    """Return the values of a field, as a form that repeats it would have them."""
    value = found.get(name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    return [(name, _plain(name, each)) for each in values]


def _plain(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise _wrong(name, "a string or a list of strings", value)


def _wrong(name: str, allowed: str, value: Any) -> InvalidField:
    kinds = {dict: "an object", list: "a list", bool: "a boolean", type(None): "null"}
    got = kinds.get(type(value), "a number")
    return InvalidField(f'"{name}" must be {allowed}, got {got}.', name)
