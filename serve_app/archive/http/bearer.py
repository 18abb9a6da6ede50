"""The secret of `POST /trigger`, which is no API key."""

import hmac

from starlette.requests import Request

from serve_app.errors import Unauthorized

_SCHEME = "bearer"


def check(request: Request, secret: str) -> None:
    """Raise Unauthorized unless the request has the secret as its bearer."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not secret:
        raise Unauthorized(
            "This server has no secret for triggers, so it takes none. The operator "
            "must set STEMSERVE_ARCHIVE_SECRET or HF_FILE_SALT."
        )
    is_right = hmac.compare_digest(given.strip().encode(), secret.encode())
    if scheme.lower() != _SCHEME or not is_right:
        raise Unauthorized(
            "The trigger needs `Authorization: Bearer` with the server's secret."
        )
