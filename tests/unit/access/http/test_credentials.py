"""Which credentials a request has."""

import pytest

from serve_app.access.http.credentials import credential_of
from serve_app.errors import BadRequest, Unauthorized


def found(*headers: tuple[str, str]) -> str | None:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return credential_of({"type": "http", "headers": raw})


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer key"),
        ("authorization", "bearer key"),
        ("Authorization", "BEARER   key  "),
        ("Authorization", "\tBearer key\t"),
        ("X-API-Key", "key"),
        ("x-api-key", " key "),
    ],
)
def test_a_credential_comes_in_either_header(header: tuple[str, str]) -> None:
    assert found(("Accept", "*/*"), header) == "key"


def test_most_requests_have_none() -> None:
    assert found() is None
    assert found(("Cookie", "key=1"), ("Proxy-Authorization", "Bearer key")) is None


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer one"), ("Authorization", "Bearer two")],
        [("Authorization", "Bearer one"), ("Authorization", "Bearer one")],
        [("X-API-Key", "one"), ("X-API-Key", "two")],
        [("Authorization", "Bearer one"), ("X-API-Key", "one")],
        [("Authorization", "Basic dTpw"), ("Authorization", "Bearer one")],
    ],
)
def test_of_several_credentials_none_is_chosen(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest, match="several credentials"):
        found(*headers)


@pytest.mark.parametrize(
    "value", ["Basic dXNlcjpwYXNz", "", "key", "Bearerkey", "Digest username=x"]
)
def test_another_scheme_is_that_of_a_proxy(value: str) -> None:
    assert found(("Authorization", value)) is None
    assert found(("Authorization", value), ("X-API-Key", "key")) == "key"


@pytest.mark.parametrize(
    "value",
    ["", "  ", "one two", "one\ttwo", "k\xa0y", "kéy", "key\x00", "k\x7f", "a\x0bb"],
)
def test_what_no_credential_can_contain_is_refused(value: str) -> None:
    for header in (("Authorization", f"Bearer {value}"), ("X-API-Key", value)):
        with pytest.raises(Unauthorized, match="ASCII characters without spaces"):
            found(header)
