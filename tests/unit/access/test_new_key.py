"""The properties of a key to create are checked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from serve_app.access import new_key
from serve_app.access.keys import NewKey
from serve_app.access.wire import KeyRequest
from serve_app.errors import InvalidInput
from serve_app.usage.quotas import NO_QUOTAS, Quotas

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SYSTEMS = ("stems", "images")


def checked(**given: Any) -> NewKey:
    return new_key.checked(KeyRequest(**{"name": "app", **given}), NOW)


def test_by_default_a_key_may_do_all_but_manage_keys() -> None:
    scopes = frozenset({"*:read", "*:write"})
    assert checked() == NewKey("app", "app", scopes, None, NO_QUOTAS)


def test_a_key_has_the_properties_that_were_given() -> None:
    ends_at = NOW + timedelta(seconds=1)
    given = checked(
        tenant="*", scopes=["stems:*"], expires_at=ends_at, quotas={"jobs_queued": 2}
    )
    scopes = frozenset({"stems:read", "stems:write"})
    assert given == NewKey("app", "*", scopes, ends_at, Quotas(jobs_queued=2))


def test_an_unknown_system_is_refused_with_those_there_are() -> None:
    given = checked(scopes=["stems:read", "sterns:read", "*:read", "admin"])
    assert new_key.systems_of(given) == {"stems", "sterns"}
    with pytest.raises(InvalidInput, match=r"'sterns'.*images, stems, or `\*`"):
        new_key.check_systems(given, SYSTEMS)
    new_key.check_systems(given, (*SYSTEMS, "sterns"))


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_time_that_has_passed_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidInput, match="in the future, got 2026-11-20"):
        checked(expires_at=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " app"},
        {"name": "app\n"},
        {"name": "á"},
        {"name": "a" * 64},
        {"tenant": ""},
        {"tenant": "a\tb"},
        {"scopes": "stems:read"},
        {"expires_at": "2030-01-01T00:00:00"},
        {"quotas": {"jobs_queued": 0}},
        {"quotas": {"jobs": 1}},
        {"colour": "red"},
    ],
)
def test_invalid_properties_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        checked(**wrong)
