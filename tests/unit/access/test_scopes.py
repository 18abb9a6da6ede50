"""What scopes allow."""

import pytest

from serve_app.access import scopes
from serve_app.errors import InvalidInput


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["stems:read"], {"stems:read"}),
        (["stems:*"], {"stems:read", "stems:write"}),
        (["*:*"], {"*:read", "*:write"}),
        (["admin", "my-app_2.x:write"], {"admin", "my-app_2.x:write"}),
        (["stems:*", "stems:read"], {"stems:read", "stems:write"}),
    ],
)
def test_scopes_have_one_form(given: list[str], expected: set[str]) -> None:
    assert scopes.parsed(given) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "*", "stems", "stems:", ":read", "stems:delete", "stems:read "),
        *(
            "Stems:read",
            "stems:read\n",
            "stems:read:write",
            "stems:READ",
            "administrator",
        ),
        *(
            "stems,images:read",
            "\uff53tems:read",
            "\u0455tems:read",
            "a" * 42 + ":read",
        ),
    ],
)
def test_what_is_no_scope_is_refused_with_what_is_one(wrong: str) -> None:
    with pytest.raises(InvalidInput, match=r"`stems:read`, `stems:\*`") as caught:
        scopes.parsed(["stems:read", wrong])
    assert "\n" not in caught.value.detail


def test_a_key_needs_a_scope() -> None:
    with pytest.raises(InvalidInput, match="At least one scope"):
        scopes.parsed([])


@pytest.mark.parametrize(
    ("given", "required", "is_allowed"),
    [
        (["stems:read"], "stems:read", True),
        (["stems:read"], "stems:write", False),
        (["stems:write"], "stems:read", False),
        (["stems:*"], "images:read", False),
        (["*:read"], "stems:read", True),
        (["*:read"], "stems:write", False),
        (["*:*"], "stems:write", True),
        # What belongs to no system is required by anyone's scope of the same verb.
        (["stems:read"], "*:read", True),
        (["stems:read"], "*:write", False),
        (["*:*"], "admin", False),
        (["stems:*", "admin"], "admin", True),
        (["admin"], "stems:write", True),
        (["admin"], "*:write", True),
    ],
)
def test_scopes_allow_what_they_name(
    given: list[str], required: str, is_allowed: bool
) -> None:
    assert scopes.allow(scopes.parsed(given), required) is is_allowed


def test_no_scope_allows_nothing() -> None:
    for required in ("stems:read", "*:read", "admin"):
        assert not scopes.allow(frozenset(), required)
