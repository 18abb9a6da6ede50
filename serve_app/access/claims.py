"""The check of a token's claims (RFC 7519), once its signature is valid."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serve_app.access import scopes
from serve_app.access.identity import ANY_TENANT, Identity
from serve_app.errors import InvalidInput, Unauthorized

_LONGEST_TENANT = 255
# The last second of the year 9999: later times can't be represented.
_LAST_TIME = 253_402_300_799


@dataclass(frozen=True)
class ClaimRules:
    """What claims must be: an empty issuer or audience is not checked.

    The tenant is the value of `tenant_claim`. The scopes are those in `scope_claim`, or
    all but `admin` if that is empty.
    """

    issuer: str = ""
    audience: str = ""
    leeway_seconds: float = 30.0
    tenant_claim: str = "sub"
    scope_claim: str = ""


def identity(payload: bytes, rules: ClaimRules, now: datetime) -> Identity:
    """Return the owner of a token with this payload.

    Raises Unauthorized, with the name of the claim that is not valid.
    """
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise Unauthorized("The token's payload must be a JSON object of claims.")
    expires_at = _checked_times(claims, rules.leeway_seconds, now.timestamp())
    _check_parties(claims, rules)
    tenant = _name(claims, rules.tenant_claim)
    subject = _name(claims, "sub") if "sub" in claims else tenant
    return Identity(
        tenant,
        f"token:{subject}",
        _scopes(claims, rules.scope_claim),
        datetime.fromtimestamp(expires_at, UTC),
    )


def _checked_times(claims: Mapping[str, Any], leeway: float, now: float) -> float:
    """Return when the token expires; raise Unauthorized if it is not valid now."""
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise Unauthorized("The token must have the claim `exp`: when it expires.")
    if now >= expires_at + leeway:
        raise Unauthorized("The token has expired (`exp`). Get a new one.")
    for name in ("nbf", "iat"):
        begins_at = _time(claims, name)
        if begins_at is not None and now < begins_at - leeway:
            raise Unauthorized(
                f"The token is not valid yet (`{name}`). Check the clocks of its "
                "issuer and of this server."
            )
    return expires_at


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Also false for NaN and infinity.
    if not is_number or not 0 <= value <= _LAST_TIME:
        raise Unauthorized(
            f"The token's claim `{name}` must be a number of seconds since 1970, "
            "before the year 10000."
        )
    return float(value)


def _check_parties(claims: Mapping[str, Any], rules: ClaimRules) -> None:
    """Raise Unauthorized unless the token is from the issuer, and for the audience."""
    if rules.issuer and claims.get("iss") != rules.issuer:
        raise Unauthorized(
            "The token's issuer (`iss`) is not the one that this server accepts."
        )
    audiences = claims.get("aud")
    given = audiences if isinstance(audiences, list) else [audiences]
    if rules.audience and rules.audience not in given:
        raise Unauthorized(
            "The token is for another audience (`aud`) than this server."
        )


def _name(claims: Mapping[str, Any], claim: str) -> str:
    """Return the name of a user or a tenant."""
    value = claims.get(claim)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise Unauthorized(f"The token's claim `{claim}` must be printable text.")
    if len(value) > _LONGEST_TENANT:
        raise Unauthorized(
            f"The token's claim `{claim}` must have at most {_LONGEST_TENANT} "
            "characters."
        )
    # Only an operator's keys may act for any tenant.
    if value == ANY_TENANT:
        raise Unauthorized(f"The token's claim `{claim}` must not be `{ANY_TENANT}`.")
    return value


def _scopes(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    """Return the scopes in a claim: a list, or a text with spaces (RFC 8693, 4.2).

    Those of other services, such as `openid`, are left out.
    """
    if not claim:
        return scopes.EVERYTHING
    value = claims.get(claim, ())
    values = value.split() if isinstance(value, str) else value
    found = frozenset[str]()
    for each in values if isinstance(values, list) else ():
        with suppress(InvalidInput):
            found |= scopes.parsed([each] if isinstance(each, str) else [])
    return found
