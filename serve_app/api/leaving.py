"""Clients that leave before their response."""

from starlette.types import Receive


async def disconnected(receive: Receive) -> None:
    """Return when the client has disconnected; its body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
