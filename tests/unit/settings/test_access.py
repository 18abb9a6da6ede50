"""The settings of tokens start when unset or empty, and refuse what can't work."""

import pytest

from serve_app.settings import Settings
from serve_app.settings.check import WrongSettings, read

NAMES = (
    *("BETTER_AUTH_URL", "JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"),
    *("STEMSERVE_JWT_LEEWAY_SECONDS", "STEMSERVE_JWT_TENANT_CLAIM"),
    *("STEMSERVE_JWT_SCOPE_CLAIM", "STEMSERVE_ALLOW_PRIVATE_JWKS"),
)
URL = "https://app.example.com/api/auth/jwks"


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_setting_of_tokens_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, " ")
    settings = read()
    assert settings == Settings()
    assert settings.effective_jwks_url == ""
    assert settings.jwt_tenant_claim == "sub"


@pytest.mark.parametrize("url", ["https://app.example.com", "https://app.example.com/"])
def test_the_keys_of_better_auth_are_below_its_url(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("BETTER_AUTH_URL", url)
    monkeypatch.setenv("JWT_ISSUER", url)
    monkeypatch.setenv("JWT_AUDIENCE", "stems")
    settings = read()
    assert settings.effective_jwks_url == URL
    assert (settings.jwt_issuer, settings.jwt_audience) == (url, "stems")


def test_the_url_of_the_keys_has_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BETTER_AUTH_URL", "http://localhost:3000")
    monkeypatch.setenv("JWKS_URL", "https://keys.example.com/jwks.json")
    assert read().effective_jwks_url == "https://keys.example.com/jwks.json"


@pytest.mark.parametrize("name", ["BETTER_AUTH_URL", "JWKS_URL"])
@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1:3000", "[::1]:3000"])
def test_keys_may_be_on_the_machine_that_the_url_names(
    monkeypatch: pytest.MonkeyPatch, name: str, host: str
) -> None:
    monkeypatch.setenv(name, f"http://{host}")
    settings = read()
    assert settings.has_private_jwks
    assert settings.jwks_url_rules.has_private


@pytest.mark.parametrize("name", ["BETTER_AUTH_URL", "JWKS_URL"])
@pytest.mark.parametrize(
    "url",
    ["http://app.example.com", "https://10.0.0.5", "https://app:3000", "app"],
)
def test_keys_that_could_not_be_fetched_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv(name, url)
    with pytest.raises(WrongSettings, match="ALLOW_PRIVATE_JWKS=true") as caught:
        read()
    assert len(caught.value.args) == 1
    assert name in str(caught.value)
    monkeypatch.setenv("STEMSERVE_ALLOW_PRIVATE_JWKS", "true")
    if "://" in url:
        assert read().effective_jwks_url.startswith(url)
    else:
        with pytest.raises(WrongSettings, match="is not an"):
            read()
