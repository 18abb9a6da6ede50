"""Headers of all responses that restrict what browsers and caches do with them."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What browsers show as a document, and so run the scripts of.
_DOCUMENTS = ("text/html", "application/xhtml+xml", "image/svg+xml", "text/xml")
# Nothing is loaded or run. The styles of our own pictures are in them.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
# In each of which credentials may be.
_CREDENTIALS = "Authorization, X-API-Key"
_NOT_STORED = "no-store"


class ResponseHeaders:
    """Add headers to each response, unless it has its own.

    Browsers must not guess media types, nor tell other sites a URL, which may contain
    the token of a link. Documents may load and run nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def restricted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                _restrict(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, restricted_send)


def keep_private(headers: MutableHeaders) -> None:
    """Keep a response that is not for everyone out of shared caches (RFC 9111)."""
    caching = headers.get("cache-control", _NOT_STORED)
    directives = {each.strip().lower() for each in caching.split(",")}
    if _NOT_STORED not in directives:
        # A browser's cache must not give one user's copy to the next.
        headers.add_vary_header(_CREDENTIALS)
        if "private" not in directives:
            others = directives - {"public"}
            caching = ", ".join(["private", *sorted(others)])
    headers["cache-control"] = caching


def _restrict(headers: MutableHeaders) -> None:
    headers.setdefault("x-content-type-options", "nosniff")
    headers.setdefault("referrer-policy", "no-referrer")
    if headers.get("content-type", "").startswith(_DOCUMENTS):
        headers.setdefault("content-security-policy", _POLICY)
