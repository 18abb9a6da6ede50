"""Different clients have different names, and one client has one."""

import re

import pytest
from starlette.types import Scope

from serve_app.api import clients
from serve_app.api.clients import Client

HEADER = "X-Tenant"


def scope(*names: str, peer: tuple[str, int] | None = ("192.0.2.7", 1234)) -> Scope:
    headers = [(b"x-tenant", name.encode("latin-1")) for name in names]
    return {"type": "http", "headers": headers, "client": peer}


def tenant(name: str) -> str:
    return clients.of(scope(name), HEADER).tenant


@pytest.mark.parametrize("name", ["a", "ACME-7", "a@b.example", "n" * 63])
def test_a_tenant_is_called_as_the_gateway_calls_it(name: str) -> None:
    assert clients.of(scope(name), HEADER) == Client(name, is_tenant=True)


def test_names_that_differ_stay_different_whatever_is_in_them() -> None:
    """Also a name that is the digest of another one, as the database holds it."""
    names = ["a", "A", "a b", "a  b", "\xe9", "\xa0a", "'--", "\x00", "n" * 63]
    names += ["n" * 64, "n" * 65, "n" * 64 + "m", "n" * 9000]
    names += [tenant(name) for name in names if tenant(name) != name]
    found = {tenant(name) for name in names}
    assert len(found) == len(names)
    for each in found:
        assert re.fullmatch(r"[!-~]{1,64}", each)


@pytest.mark.parametrize(
    "names", [(), ("",), (" ",), ("a", "b"), ("a", "a"), ("", "a"), ("a, b",), ("a,",)]
)
def test_a_header_that_does_not_name_one_tenant_names_none(
    names: tuple[str, ...],
) -> None:
    found = clients.of(scope(*names), HEADER)
    assert found == Client("192.0.2.7", is_tenant=False)
    assert found.tenant == ""


def test_without_a_setting_no_header_counts() -> None:
    assert clients.of(scope("a"), "") == Client("192.0.2.7", is_tenant=False)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/run/socket", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_peer_is_its_address_or_its_ipv6_network(address: str, name: str) -> None:
    found = clients.of(scope(peer=(address, 1)), "")
    assert found == Client(name, is_tenant=False)


def test_a_peer_without_an_address_is_a_client_too() -> None:
    assert clients.of(scope(peer=None), "").name == "unknown"


def test_a_tenant_who_is_called_like_a_peer_is_another_client() -> None:
    assert clients.of(scope("192.0.2.7"), HEADER) != clients.of(scope(), HEADER)
