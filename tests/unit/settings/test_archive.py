"""The archive has the original's variables; its two secrets may be one."""

import pytest

from serve_app.archive.identity import Identity, object_key
from serve_app.archive.settings_rules import RULES
from serve_app.settings import Settings
from serve_app.settings import check as settings_check
from serve_app.settings.check import WrongSettings

ORIGINAL = {
    "ARCHIVE_HOSTS": "cdn.example.com,*.example.org",
    "HF_FILE_SALT": "test-salt",
    "HF_TOKEN_STORAGE_1": "hf_a",
    "HF_STORAGE_USERNAME_1": "first",
    "HF_TOKEN_STORAGE_4": "hf_b",
    "HF_STORAGE_USERNAME_4": "fourth",
    "SUPABASE_URL": "https://abc.supabase.co",
    "SUPABASE_SERVICE_ROLE_KEY": "key",
    "CLOUDFLARE_WORKERS_URL": "https://stream.example.com/",
}


def read(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return settings_check.read({}, RULES)


def test_the_variables_of_the_original_are_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read(monkeypatch, ORIGINAL)
    assert settings.default_systems == ("stems", "archive")
    assert settings.archive_hosts == ("cdn.example.com", "*.example.org")
    assert settings.archive_hub_accounts == {
        1: ("first", "hf_a"),
        4: ("fourth", "hf_b"),
    }
    assert settings.archive_supabase_url == "https://abc.supabase.co"
    assert settings.archive_supabase_key.get_secret_value() == "key"
    assert settings.archive_url == "https://stream.example.com/"
    assert "hf_a" not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "trigger_secret", "salt"),
    [
        ({}, "", ""),
        ({"HF_FILE_SALT": "a"}, "a", "a"),
        ({"ARCHIVE_SECRET": "b"}, "b", "b"),
        ({"HF_FILE_SALT": "a", "ARCHIVE_SECRET": "b"}, "b", "a"),
    ],
)
def test_either_secret_does_for_both(
    environment: dict[str, str],
    trigger_secret: str,
    salt: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read(monkeypatch, environment)
    assert settings.archive_trigger_secret == trigger_secret
    assert settings.archive_name_salt == salt


def test_the_salt_names_objects_as_the_original_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    salt = read(monkeypatch, {"HF_FILE_SALT": "test-salt"}).archive_name_salt
    named = object_key(Identity(1234, 5, "example", "720p"), salt)
    assert named == "1234/ep5/4afa2780216896d6353754b17cddde5c.mp4"


def test_public_repositories_need_names_that_nobody_guesses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = {"HF_TOKEN_STORAGE_1": "hf_a", "HF_STORAGE_USERNAME_1": "first"}
    with pytest.raises(WrongSettings, match="HF_FILE_SALT"):
        read(monkeypatch, account)
