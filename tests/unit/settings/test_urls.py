"""Settings that are checked at start."""

from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from serve_app.settings import Settings

NAMES = [
    "STEMSERVE_PUBLIC_URL",
    "STEMSERVE_HF_SPACE_URL",
    "HF_SPACE_URL",
    "HUGGINGFACE_SPACE_URL",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_public_url_has_its_old_names_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "https://me-space.hf.space")
    assert Settings().public_url == "https://me-space.hf.space"


def test_the_first_name_of_the_public_url_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, name in enumerate(NAMES):
        monkeypatch.setenv(name, f"https://{number}.example")
    assert Settings().public_url == "https://0.example"
    # A Serve config goes before the environment, an old one too.
    assert Settings(hf_space_url="https://x.example").public_url == "https://x.example"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("", ""),
        ("https://a.example/", "https://a.example"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("https://a.example/songs/v1/", "https://a.example/songs/v1"),
        ("http://[2001:db8::1]:8000//", "http://[2001:db8::1]:8000"),
    ],
)
def test_a_public_url_is_kept_without_a_slash_at_its_end(given: str, url: str) -> None:
    assert Settings(public_url=given).public_url == url


@pytest.mark.parametrize(
    "url",
    [
        "stems.example.com",
        "//stems.example.com",
        "ftp://stems.example.com",
        "https://",
        "https:///songs",
        "https://user@stems.example.com",
        "https://user:secret@stems.example.com",
        "https://stems.example.com?a=1",
        "https://stems.example.com?",
        "https://stems.example.com/#top",
        "https://stems.example.com:port",
        "https://stems.example.com:99999",
        "https://stems example.com",
        "https://stems.example.com/my songs",
        "https://[::1",
        "javascript:alert(1)",
        "/songs",
    ],
)
def test_a_public_url_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"https://stems\.example\.com"):
        Settings(public_url=url)


def test_trusted_proxies_are_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_TRUSTED_PROXIES", "10.0.0.0/8, ::1,192.0.2.7 , *")
    found = Settings().trusted_proxies
    assert found == ("10.0.0.0/8", "::1", "192.0.2.7", "*")


@pytest.mark.parametrize("value", ["proxy.internal", "10.0.0.0/33", "10.0.0", "**"])
def test_a_trusted_proxy_that_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="must be an IP address, a network or"):
        Settings(trusted_proxies=(value,))


def test_the_host_of_the_public_url_is_allowed_where_others_are() -> None:
    url = "https://Stems.example.com:8443/songs"
    assert Settings(public_url=url).effective_hosts == ()
    found = Settings(public_url=url, allowed_hosts="localhost").effective_hosts
    assert found == ("localhost", "stems.example.com")


def test_pages_of_development_servers_on_this_machine_may_call_by_default() -> None:
    """Those of the consoles; a page that is opened as a file has the origin null."""
    origins = Settings().cors_origins
    assert {f"http://localhost:{port}" for port in (3000, 5173, 8081)} < set(origins)
    assert not {"*", "null"} & set(origins)
    assert all(
        urlsplit(each).hostname in ("localhost", "127.0.0.1") for each in origins
    )
