"""Whose a request is, where a gateway before us says it."""

from fastapi import Request

from serve_app.api.services import Services

_LONGEST = 64


def of(request: Request, services: Services) -> str:
    """Return the name that the gateway gives the client; empty if it gives none."""
    name = services.tenant_header
    return request.headers.get(name, "")[:_LONGEST] if name else ""
