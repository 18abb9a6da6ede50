"""The routes of access as a part of the HTTP application."""

from serve_app.access.http import keys, links
from serve_app.access.http.services import AccessServices
from serve_app.api.part import ApiPart


def part(services: AccessServices) -> ApiPart:
    """Return the part of the application that uses `services`."""
    return ApiPart(
        "access",
        (keys.router,),
        # A POST, so that many paths fit in: it changes nothing.
        reading_routers=(links.router,),
        admin_routers=(keys.admin_router,),
        # Credentials of every system may ask what they are.
        scope="",
        # Links open what belongs to jobs; keys and tenants are for their owners.
        is_linkable=False,
        state={"access": services},
    )
