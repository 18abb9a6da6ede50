"""Where media may be fetched from."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from serve_app.archive.errors import NotAllowed
from serve_app.outbound import urls
from serve_app.outbound.addresses import Address
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import Target, UrlRules
from serve_app.settings import Settings

_NO_HOSTS = (
    "This server fetches nothing, because no hosts are allowed. The operator must list "
    "them in STEMSERVE_ARCHIVE_HOSTS."
)


Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Sources:
    """The hosts that an operator allows, and networks that are not public."""

    hosts: tuple[str, ...]
    networks: Sequence[Network] = ()

    def checked(self, url: str) -> Target:
        """Return the target of a URL; raise NotAllowed or RefusedUrl."""
        if not self.hosts:
            raise NotAllowed(_NO_HOSTS)
        return urls.checked(url, self.rules)

    @property
    def rules(self) -> UrlRules:
        """The rules for all URLs, redirects and those in playlists included."""
        return UrlRules(("https", "http"), self.hosts, has_private=bool(self.networks))

    def client(self, stall_seconds: float, most_connections: int) -> OutboundClient:
        """Return a client that reaches these hosts only."""
        return OutboundClient(
            self.rules,
            CheckedNetwork(is_allowed=self._is_allowed),
            read_timeout_seconds=stall_seconds,
            max_connections=most_connections,
        )

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def configured(settings: Settings) -> Sources:
    """Return the sources of an operator."""
    networks = [ip_network(each) for each in settings.archive_allow_networks]
    return Sources(settings.archive_hosts, networks)
