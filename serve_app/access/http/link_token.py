"""The token of a signed link in a request."""

from starlette.types import Scope

from serve_app.api.links import TOKEN
from serve_app.errors import Unauthorized

_PREFIX = f"{TOKEN}=".encode()


def token_of(scope: Scope) -> str | None:
    """Return the token in a request's query, or None if it has none.

    Raises Unauthorized for more than one.
    """
    tokens = [part for part in _parts(scope) if part.startswith(_PREFIX)]
    if len(tokens) > 1:
        raise Unauthorized(
            f"The link has {len(tokens)} tokens. Use it exactly as the server returned "
            "it."
        )
    return tokens[0].removeprefix(_PREFIX).decode("latin-1") if tokens else None


def remove_token(scope: Scope) -> None:
    """Remove the token from a request, so that no log or error can contain it."""
    others = [part for part in _parts(scope) if not part.startswith(_PREFIX)]
    scope["query_string"] = b"&".join(others)


def _parts(scope: Scope) -> list[bytes]:
    query: bytes = scope.get("query_string", b"")
    return query.split(b"&")
