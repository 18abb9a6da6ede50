"""Where settings come from: arguments, then the first variable that has a value."""

import pickle
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from serve_app.settings import Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published one


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("DATABASE_URL", "database_url"),
        ("STEMSERVE_DATABASE_URL", "database_url"),
        ("STEMSERVE_THREADS", "threads"),
        ("STEMSERVE_RETENTION_SECONDS", "retention_seconds"),
        ("STEMSERVE_COMPILED", "compiled"),
        ("STEMSERVE_STORAGE", "storage"),
        ("STEMSERVE_INPUT_URL_SCHEMES", "input_url_schemes"),
        ("STEMSERVE_WEBHOOK_SECRETS", "webhook_secrets"),
        ("STEMSERVE_STORAGE_SALT", "storage_salt"),
        ("STEMSERVE_PRECISION", "precision"),
        ("STEMSERVE_TEMP_DIR", "temp_dir"),
        ("STEMSERVE_MODEL", "model"),
        ("CORS_ORIGINS", "cors_origins"),
    ],
)
def test_an_empty_variable_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, variable: str, name: str, blank: str
) -> None:
    default = getattr(Settings(), name)
    monkeypatch.setenv(variable, blank)
    settings = Settings()
    assert getattr(settings, name) == default
    assert name not in settings.model_fields_set


@pytest.mark.parametrize(
    ("empty", "filled", "name", "value"),
    [
        ("STEMSERVE_CORS_ORIGINS", "CORS_ORIGINS", "cors_origins", "https://a.b"),
        ("CORS_ORIGINS", "ALLOW_ORIGINS", "cors_origins", "https://a.b"),
        ("STEMSERVE_LOG_LEVEL", "LOG_LEVEL", "log_level", "DEBUG"),
    ],
)
def test_an_empty_variable_gives_way_to_the_next(
    monkeypatch: pytest.MonkeyPatch, empty: str, filled: str, name: str, value: str
) -> None:
    monkeypatch.setenv(empty, "")
    monkeypatch.setenv(filled, value)
    assert value in getattr(Settings(), name)


def test_the_first_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("STEMSERVE_LOG_LEVEL", "ERROR")
    assert Settings().log_level == "ERROR"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("STEMSERVE_THREADS", " 3 ", "threads", 3),
        ("STEMSERVE_PRECISION", "fp32\n", "precision", "fp32"),
        ("STEMSERVE_COMPILED", " true", "compiled", True),
        ("STEMSERVE_MODEL", "\tdemo ", "model", "demo"),
        ("STEMSERVE_LEASE_SECONDS", " 2.5 ", "lease_seconds", 2.5),
        ("stemserve_threads", "3", "threads", 3),
        ("STEMSERVE_WEBHOOK_HOSTS", " a.b , c.d ", "webhook_hosts", ("a.b", "c.d")),
    ],
)
def test_blanks_around_a_value_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: Any
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(Settings(), name) == value


@pytest.mark.parametrize("variable", ["LOG_LEVEL", "STEMSERVE_LOG_LEVEL"])
def test_arguments_are_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "DEBUG")
    monkeypatch.setenv("STEMSERVE_THREADS", "3")
    settings = Settings(log_level="ERROR", threads=0)
    assert (settings.log_level, settings.threads) == ("ERROR", 0)


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "1e999"])
def test_a_number_is_finite(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("STEMSERVE_MAX_DURATION_SECONDS", value)
    with pytest.raises(ValidationError):
        Settings()


def test_settings_reach_a_replica_as_they_were_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_WEBHOOK_SECRETS", SECRET)
    sent = pickle.dumps(Settings(threads=2))
    monkeypatch.setenv("STEMSERVE_THREADS", "7")
    received = pickle.loads(sent)  # noqa: S301
    assert received.threads == 2
    assert received.webhook_secrets == (SecretStr(SECRET),)
