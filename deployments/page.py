"""The page of an application, from the settings."""

from collections.abc import Sequence

from deployments.files import link_origins
from serve_app.api.part import ApiPart
from serve_app.page.bundle import Bundle
from serve_app.page.http import part
from serve_app.page.http.part import Page
from serve_app.page.policy import SPACE_FRAMES, content_security_policy
from serve_app.settings import Settings

# The page is about songs.
_SYSTEM = "stems"


def parts(settings: Settings, systems: Sequence[str]) -> Sequence[ApiPart]:
    """Return the part with the page for an application that runs `systems`, if any."""
    if not settings.page or _SYSTEM not in systems:
        return ()
    policy = content_security_policy(
        link_origins(settings), SPACE_FRAMES if settings.hf_space else ()
    )
    return (part.part(Page(Bundle(), policy)),)
