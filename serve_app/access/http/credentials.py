"""The credentials in a request."""

from starlette.datastructures import Headers
from starlette.types import Scope

from serve_app.errors import BadRequest, Unauthorized

API_KEY_HEADER = "X-API-Key"
_SCHEME = "bearer"


def credential_of(scope: Scope) -> str | None:
    """Return the API key or token in a request, or None if it has none.

    It is in `Authorization: Bearer …`, or in `X-API-Key`. Raises BadRequest for more
    than one, and Unauthorized for another scheme.
    """
    headers = Headers(scope=scope)
    bearers, keys = headers.getlist("authorization"), headers.getlist(API_KEY_HEADER)
    if len(bearers) + len(keys) > 1:
        raise BadRequest(
            "The request has several credentials. Send one: `Authorization: Bearer …` "
            f"or `{API_KEY_HEADER}: …`, once."
        )
    if keys:
        return _checked(keys[0].strip(" \t"))
    if not bearers:
        return None
    scheme, _, value = bearers[0].strip(" \t").partition(" ")
    if scheme.lower() != _SCHEME:
        raise Unauthorized(
            "The Authorization header must be `Bearer` and an API key or a token."
        )
    return _checked(value.strip(" \t"))


def _checked(value: str) -> str:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise Unauthorized(
            "The credentials must be ASCII characters without spaces. Copy the whole "
            "key or token, and nothing else."
        )
    return value
