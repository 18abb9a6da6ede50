"""The claims of a token: when it is valid, for whom, and whose it is."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from serve_app.access import claims
from serve_app.access.claims import ClaimRules
from serve_app.access.identity import Identity
from serve_app.access.scopes import EVERYTHING
from serve_app.errors import Unauthorized
from tests.unit.access.issuer import claims_at

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
RULES = ClaimRules()


def read(rules: ClaimRules = RULES, **changes: Any) -> Identity:
    payload = json.dumps(claims_at(NOW, **changes)).encode()
    return claims.identity(payload, rules, NOW)


def test_the_tenant_is_the_user_who_may_do_all_but_administer() -> None:
    found = read()
    assert (found.tenant, found.credential) == ("user-7", "token:user-7")
    assert found.scopes == EVERYTHING
    assert found.expires_at is not None
    assert found.expires_at.timestamp() == AT + 600


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "must have the claim `exp`"),
        ({"exp": AT - 30}, "expired"),
        ({"exp": str(AT + 600)}, "`exp` must be a number"),
        ({"exp": True}, "`exp` must be a number"),
        ({"exp": [AT + 600]}, "`exp` must be a number"),
        ({"exp": 10**30}, "before the year 10000"),
        ({"exp": float("inf")}, "`exp` must be a number"),
        ({"exp": float("nan")}, "`exp` must be a number"),
        ({"exp": -1}, "`exp` must be a number"),
        ({"nbf": AT + 31}, r"not valid yet \(`nbf`\)"),
        ({"nbf": "now"}, "`nbf` must be a number"),
        ({"iat": AT + 31}, r"not valid yet \(`iat`\)"),
        ({"iat": {}}, "`iat` must be a number"),
    ],
)
def test_a_token_outside_its_time_is_refused(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unauthorized, match=reason):
        read(**changes)


def test_clocks_may_differ_by_the_leeway() -> None:
    read(exp=AT - 29, nbf=AT + 30, iat=AT + 30)
    read(exp=AT + 0.5)
    strict = ClaimRules(leeway_seconds=0)
    for changes in ({"exp": AT}, {"nbf": AT + 1}, {"iat": AT + 1}):
        with pytest.raises(Unauthorized):
            read(strict, **changes)


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    payload = b'{"sub": "user-7", "exp": ' + b"9" * 5000 + b"}"
    with pytest.raises(Unauthorized):
        claims.identity(payload, RULES, NOW)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b"[" * 6000])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(Unauthorized, match="JSON object"):
        claims.identity(payload, RULES, NOW)


def test_the_issuer_is_checked_where_one_is_set() -> None:
    rules = ClaimRules(issuer="https://app.example")
    assert read(iss="https://anyone.example").tenant == "user-7"
    assert read(rules, iss="https://app.example").tenant == "user-7"
    for wrong in ("https://app.example/", "", None, ["https://app.example"], 7):
        with pytest.raises(Unauthorized, match=r"issuer \(`iss`\)"):
            read(rules, iss=wrong)


def test_the_audience_is_checked_where_one_is_set() -> None:
    rules = ClaimRules(audience="stems")
    assert read(aud="anything").tenant == "user-7"
    for right in ("stems", ["other", "stems"]):
        assert read(rules, aud=right).tenant == "user-7"
    for wrong in ("stem", "stems ", [], ["other"], None, {"stems": 1}, 7):
        with pytest.raises(Unauthorized, match=r"audience \(`aud`\)"):
            read(rules, aud=wrong)


@pytest.mark.parametrize(
    "name",
    [None, "", " ", 7, ["user-7"], "a\nb", "a\0b", "\ud800", "\u202euser", "x" * 256],
)
def test_a_tenant_must_be_printable_text(name: Any) -> None:
    with pytest.raises(Unauthorized, match="`sub` must"):
        read(sub=name)


def test_no_token_acts_for_any_tenant() -> None:
    with pytest.raises(Unauthorized, match=r"must not be `\*`"):
        read(sub="*")
    with pytest.raises(Unauthorized, match=r"must not be `\*`"):
        read(ClaimRules(tenant_claim="org"), org="*")


def test_look_alikes_are_other_tenants() -> None:
    latin, cyrillic = read(sub="alice"), read(sub="\u0430lice")
    assert latin.tenant != cyrillic.tenant


def test_another_claim_may_name_the_tenant() -> None:
    rules = ClaimRules(tenant_claim="org")
    found = read(rules, org="Müller & Söhne")
    assert (found.tenant, found.credential) == ("Müller & Söhne", "token:user-7")
    assert read(rules, org="acme", sub=None).credential == "token:acme"
    with pytest.raises(Unauthorized, match="`org` must"):
        read(rules)


@pytest.mark.parametrize(
    ("value", "scopes"),
    [
        ("openid stems:read email", {"stems:read"}),
        (["stems:*", 7, "stems"], {"stems:read", "stems:write"}),
        ("admin", {"admin"}),
        ("", set()),
        (None, set()),
        ({"admin": True}, set()),
        (7, set()),
    ],
)
def test_scopes_may_come_from_a_claim(value: Any, scopes: set[str]) -> None:
    assert read(ClaimRules(scope_claim="scope"), scope=value).scopes == scopes
    assert read(scope=value).scopes == EVERYTHING
