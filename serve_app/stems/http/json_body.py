"""Songs that lie elsewhere, as a JSON body names them, with the fields of a form."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from serve_app.api.multipart import FILE_FIELD
from serve_app.errors import BadRequest, InvalidField
from serve_app.filenames import titles

MEDIA_TYPE = "application/json"
URL, UPLOAD_ID, FILENAME = "url", "upload_id", "filename"

_PROPERTIES = {
    URL: {
        "type": "string",
        "description": "Where the song is: `https://…`, or `s3://bucket/key` in a "
        "bucket that the operator allows. This or `upload_id` must be given.",
    },
    UPLOAD_ID: {
        "type": "string",
        "description": "A file that was sent by `POST /uploads`.",
    },
    FILENAME: {
        "type": "string",
        "description": "The song's name, any text; that which it has there when left "
        "out.",
    },
}


@dataclass(frozen=True)
class Reference:
    """A song's URL or the id of its upload, and the text fields that came with it."""

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

    Raises BadRequest for what is no JSON and InvalidField for what is wrong in it.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk  # Not without end: see `Bodies`.
    except ClientDisconnect as err:
        raise BadRequest("The connection was closed too early. Send it again.") from err
    return parsed(bytes(body), fields)


def parsed(body: bytes, fields: Sequence[str]) -> Reference:
    """Return what `body` says; raises as `read` does."""
    try:
        found = _titled(json.loads(body))
        # Escapes can stand for half a character, which nothing else can hold.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as err:
        raise BadRequest("The body is no JSON. Correct it and send it again.") from err
    if not isinstance(found, dict):
        raise BadRequest('The body is no JSON object like {"url": "https://…"}.')
    known = (*_PROPERTIES, *fields)
    for name in found:
        if name not in known:
            raise InvalidField(
                f"There is no field {name[:40]!r}. The body has these: "
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
            "Name one song: give either `url` or `upload_id`. To send the file itself, "
            "send a form: curl -F file=@song.mp3.",
            URL,
        )
    return reference


def documented(form: Mapping[str, Any]) -> dict[str, Any]:
    """Describe for OpenAPI that what a `form` takes can also be given as JSON."""
    both = deepcopy(dict(form))
    content = both["requestBody"]["content"]
    schema = content["multipart/form-data"]["schema"]
    rest = {
        name: property
        for name, property in schema["properties"].items()
        if name != FILE_FIELD
    }
    content[MEDIA_TYPE] = {
        "schema": {
            "type": "object",
            "additionalProperties": False,
            "properties": {**_PROPERTIES, **rest},
        },
        # Else "Try it out" sends each field, `upload_id` beside `url`.
        "example": {URL: "https://example.com/song.mp3"},
    }
    return both


def _titled(found: Any) -> Any:
    """Return what a body says with a title for a name, which may be any text."""
    if not isinstance(found, dict) or not isinstance(found.get(FILENAME), str):
        return found
    return {**found, FILENAME: found[FILENAME] and titles.clean(found[FILENAME])}


def _text(found: Mapping[str, Any], name: str) -> str:
    """Return a field that is one text, empty if it is not given."""
    value = found.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidField(f"The field {name!r} is no text.", name)
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
    raise InvalidField(f"The field {name!r} is no text, nor a list of them.", name)
