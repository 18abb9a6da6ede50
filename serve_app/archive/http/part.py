"""The part of the HTTP application that the archive adds."""

from functools import partial

from serve_app.api.part import ApiPart
from serve_app.archive import kind
from serve_app.archive.http import health, routes, trigger
from serve_app.archive.http.services import ArchiveServices

__all__ = ["ArchiveServices", "part"]

_DESCRIPTION = """
`POST /trigger` has media fetched and kept; players get it from `/stream`, `/proxy` and
`/media` of the process that streams.
"""


def part(services: ArchiveServices) -> ApiPart:
    """Return the part that uses `services`."""
    return ApiPart(
        name="archive",
        self_checked_routers=(trigger.router, routes.secret_router),
        public_routers=(routes.public_router,),
        routers=(routes.router,),
        is_linkable=False,
        state={"archive": services},
        health=partial(health.of, services),
        health_names=health.NAMES,
        description=_DESCRIPTION,
        kinds=(kind.NAME,),
    )
