"""Signed links: URLs that open one path without credentials, for some time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from serve_app.api.clients import Client

# The query parameter of a link.
TOKEN = "token"  # noqa: S105  the name of a parameter


@dataclass(frozen=True)
class Link:
    """A path of this service with its query, and until when that opens it.

    `expires_at` is None where requests need no credentials.
    """

    target: str
    expires_at: datetime | None = None


class Signer(Protocol):
    """Makes links."""

    def link(self, client: Client, target: str, until: datetime | None = None) -> Link:
        """Return a link to the path, with or without a query, that `target` is.

        It opens the path for everyone who has it, as `client`, at most until then.
        """


@dataclass(frozen=True)
class ClientLinks:
    """The links of one client, as URLs below `base_url`."""

    signer: Signer
    client: Client
    base_url: str

    def url(self, target: str, until: datetime | None = None) -> str:
        """Return the absolute URL of a path, which opens it without credentials."""
        return f"{self.base_url}{self.signer.link(self.client, target, until).target}"
