"""The archive's own secret, which is no API key."""

import hmac

from starlette.requests import Request

from serve_app.archive.http.services import ArchiveServices
from serve_app.errors import Unauthorized

_SCHEME = "bearer"


def required(request: Request) -> None:
    """Raise Unauthorized unless the request has the archive's secret as its bearer."""
    services: ArchiveServices = request.app.state.archive
    _check(request, services.secret)


def _check(request: Request, secret: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not secret:
        raise Unauthorized(
            "This archive has no secret, so nobody may change it. The operator must "
            "set STEMSERVE_ARCHIVE_SECRET or HF_FILE_SALT."
        )
    is_right = hmac.compare_digest(given.strip().encode(), secret.encode())
    if scheme.lower() != _SCHEME or not is_right:
        raise Unauthorized(
            "This needs `Authorization: Bearer` with the archive's secret, "
            "STEMSERVE_ARCHIVE_SECRET or HF_FILE_SALT."
        )
