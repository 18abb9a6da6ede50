"""The part of the HTTP application that the library adds."""

from functools import partial

from serve_app.api.part import ApiPart
from serve_app.library.http import health, routes
from serve_app.library.http.services import LibraryServices

__all__ = ["LibraryServices", "part"]

_DESCRIPTION = """
The library's tasks usually come from a queue. `POST /library/tasks` takes the same
messages; `GET /library/tasks/{job_id}` tells what became of one.
"""


def part(services: LibraryServices) -> ApiPart:
    """Return the part that uses `services`."""
    return ApiPart(
        name="library",
        public_routers=(health.router,),
        routers=(routes.router,),
        state={"library": services},
        health=partial(health.of, services),
        description=_DESCRIPTION,
        kinds=tuple(store.kind.name for store in services.stores.values()),
    )
