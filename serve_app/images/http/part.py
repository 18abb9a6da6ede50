"""The part of the HTTP application that images add."""

from functools import partial

from serve_app.api.part import ApiPart
from serve_app.images.http import health, routes
from serve_app.images.http.services import ImagesServices

__all__ = ["ImagesServices", "part"]

_DESCRIPTION = """
`POST /generate` makes images of a text, `POST /refine` makes them of a text and other
images. Both respond with the finished images.
"""


def part(services: ImagesServices) -> ApiPart:
    """Return the part that uses `services`."""
    return ApiPart(
        name="images",
        routers=(),
        public_routers=(routes.router,),
        max_body_bytes=services.limits.max_body_bytes,
        background=(services.facts.keep_asking,),
        state={"images": services},
        health=partial(health.of, services.facts),
        health_names=health.NAMES,
        healthy_status="healthy",
        cors_origins=services.cors_origins,
        description=_DESCRIPTION,
    )
