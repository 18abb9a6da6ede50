"""The credentials in a request."""

from starlette.datastructures import Headers
from starlette.types import Scope

from serve_app.errors import BadRequest, Unauthorized

API_KEY_HEADER = "X-API-Key"
_SCHEME = "bearer"


def credential_of(scope: Scope) -> str | None:
    """Return the API key or token in a request, or None if it has none.

    It is in `Authorization: Bearer …`, or in `X-API-Key`. Other schemes are those of a
    proxy in front of this server. Raises BadRequest for more than one.
    """
    headers = Headers(scope=scope)
    given, keys = headers.getlist("authorization"), headers.getlist(API_KEY_HEADER)
    parts = [each.strip(" \t").partition(" ") for each in given]
    bearers = [value for scheme, _, value in parts if scheme.lower() == _SCHEME]
    if len(given) > 1 or len(bearers) + len(keys) > 1:
        raise BadRequest(
            "The request has several credentials. Send one: `Authorization: Bearer …` "
            f"or `{API_KEY_HEADER}: …`, once."
        )
    if keys:
        return _checked(keys[0].strip(" \t"))
    return _checked(bearers[0].strip(" \t")) if bearers else None


def _checked(value: str) -> str:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise Unauthorized(
            "The credentials must be ASCII characters without spaces. Copy the whole "
            "key or token, and nothing else."
        )
    return value
