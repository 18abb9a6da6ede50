"""The routes of access as a part of the HTTP application."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from serve_app.access.http import keys, links
from serve_app.access.http.services import AccessServices
from serve_app.api.part import ApiPart


def part(
    services: AccessServices,
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> ApiPart:
    """Return the part that uses `services`, with its tasks in the background."""
    return ApiPart(
        "access",
        (),
        known_routers=(keys.router,),
        # A POST, so that many paths fit in: it changes nothing.
        reading_routers=(links.router,),
        admin_routers=(keys.admin_router,),
        # Credentials of every system may ask what they are.
        scope="",
        background=background,
        # Links open what belongs to jobs; keys and tenants are for their owners.
        is_linkable=False,
        state={"access": services},
    )
