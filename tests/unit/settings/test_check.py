"""A setting that cannot be is explained in a line before anything starts."""

import pickle
import sys
from pathlib import Path

import pytest

from serve_app.settings import Settings
from serve_app.settings import check as settings_check
from serve_app.settings.check import WrongSettings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published one


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("THREADS", "many", "must be a whole number of at least 0"),
        ("THREADS", "-1", "must be a whole number of at least 0"),
        ("STORAGE_COPIES", "1.5", "must be a whole number of at least 1"),
        ("UPLOAD_SECONDS", "999999999", "of at least 1 and at most 604800"),
        ("LEASE_SECONDS", "0", "must be a number of more than 0"),
        ("LEASE_SECONDS", "inf", "must be a number of more than 0"),
        ("RETENTION_SECONDS", "30m", "must be a number of at least 0"),
        ("REUSE_SONGS", "maybe", "must be true or false"),
        ("PRECISION", "int8", "must be one of auto, fp32, bf16, fp16"),
        ("RUNTIME", "tensorflow", "must be one of auto, torch, openvino"),
        ("BEATS", "madmom", "must be one of built-in, beat-this, beat-this-small"),
        ("TRACES", "grpc", "must be one of off, otlp"),
        ("LOG_LEVEL", "loud", "must be one of DEBUG"),
        ("INPUT_URL_SCHEMES", "https,ftp", "http, https"),
        ("INPUT_URL_HOSTS", "https://example.com", "without scheme"),
        ("WEBHOOK_HOSTS", "example.com/hook", "without scheme"),
        ("WEBHOOK_HOSTS", "example.com:443", "without scheme"),
        ("CORS_ORIGINS", "https://example.com/app", "without a path"),
        ("CORS_ORIGINS", "example.com", "such as https://example.com"),
        ("ALLOWED_HOSTS", "https://example.com", "without scheme"),
        ("ALLOWED_HOSTS", "example.com:8000", "without scheme, port"),
        ("TENANT_HEADER", "X Tenant", "name of a header"),
        ("PUBLIC_URL", "stems.example.com", "must be http:// or https://"),
        ("HF_SPACE_URL", "https://a.example?b", "no user, query or fragment"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "such as 10.0.0.5, 10.0.0.0/8"),
        ("STORAGE", "ftp://example.com/x", "must be s3://bucket/folder"),
        ("STORAGE", "s3://songs?endpoint_url=minio:9000", "http:// or https://"),
        ("INPUT_BUCKETS", "songs", "must be s3://bucket/folder"),
        ("STORAGE_COPIES", "2", "must be at most 1, the number of stores"),
        ("DATABASE_URL", "mysql://db/stems", "sqlite or postgresql"),
        ("DATABASE_URL", "sqlite://", "must be a file, such as"),
        ("DATABASE_URL", "jobs", "the database URL is invalid"),
        ("WEBHOOK_SECRETS", "short", "24 to 64 bytes"),
        ("WEBHOOK_SECRETS", f"{SECRET} {SECRET} {SECRET}", "at most 2"),
        ("DATA_DIR", "/dev/null/data", "is not a directory"),
        ("DATA_DIR", "/proc/data", "is not writable"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_can(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"STEMSERVE_{name}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(WrongSettings) as caught:
        settings_check.read()
    lines = str(caught.value).splitlines()
    line = next(line for line in lines if line.startswith(variable))
    assert words in line
    is_secret = name in ("DATABASE_URL", "WEBHOOK_SECRETS")
    assert ("secret" if is_secret else value.partition("?")[0]) in line


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"STORAGE": "one two"}, "STEMSERVE_STORAGE_SALT"),
        ({"STORAGE": "one two", "STORAGE_SALT": " "}, "several stores"),
        (
            {"STORAGE": "one two", "STORAGE_SALT": "x", "STORAGE_COPIES": "3"},
            "at most 2, the number of stores",
        ),
    ],
)
def test_values_that_cannot_be_together_are_named(
    environ: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environ.items():
        monkeypatch.setenv(f"STEMSERVE_{name}", value)
    with pytest.raises(WrongSettings, match=words):
        settings_check.read()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("CORS_ORIGINS", "x"), ("ALLOW_ORIGINS", "x y"), ("LOG_LEVEL", "chatty")],
)
def test_the_variable_that_was_set_is_the_one_that_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(WrongSettings, match=f"^{variable}={value}"):
        settings_check.read()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("too-short", "at least 32 characters"),
        ("a key of more than 32 characters with spaces", "without spaces"),
        ("\u00e9" * 40, "ASCII"),
    ],
)
def test_an_admin_key_can_be_sent_in_a_header(
    value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_ADMIN_KEY", value)
    with pytest.raises(WrongSettings, match=words) as caught:
        settings_check.read()
    assert value not in str(caught.value)


def test_every_wrong_setting_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSERVE_TENANT_HEADER", "X Tenant")
    monkeypatch.setenv("STEMSERVE_LOG_LEVEL", "loud")
    with pytest.raises(WrongSettings) as caught:
        settings_check.read()
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("package", "extra", "environ"),
    [
        ("psycopg", "postgres", {"DATABASE_URL": "postgres://db/stems"}),
        ("boto3", "s3", {"STORAGE": "s3://songs"}),
        ("boto3", "s3", {"INPUT_BUCKETS": "s3://songs"}),
    ],
)
def test_what_is_not_installed_is_told_with_its_extra(
    package: str,
    extra: str,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(f"STEMSERVE_{name}", value)
    settings_check.read()
    monkeypatch.setattr(
        settings_check, "find_spec", lambda name: None if name == package else name
    )
    with pytest.raises(WrongSettings, match=rf"stemserve\[{extra}\]"):
        settings_check.read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "warning"),
        ("CORS_ORIGINS", "https://a.example, http://localhost:3000, null"),
        ("CORS_ORIGINS", "chrome-extension://abcdef"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("INPUT_URL_HOSTS", "*.example.com, localhost, 127.0.0.1, ::1"),
        ("ALLOWED_HOSTS", "*.example.com, localhost, 127.0.0.1, ::1"),
        ("ALLOWED_HOSTS", "*"),
        ("STORAGE", "s3://songs/jobs?endpoint_url=http://minio:9000&region=here"),
        ("DATABASE_URL", "postgres://user:secret@db/stems"),
        ("WEBHOOK_SECRETS", f"{SECRET} {SECRET}"),
        ("TENANT_HEADER", "X-Tenant"),
        ("DATA_DIR", "not/yet/there"),
    ],
)
def test_what_can_be_is_taken(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"STEMSERVE_{name}", value)
    settings_check.read()
    assert not list(tmp_path.iterdir())


def test_a_system_s_rules_count_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_threads(settings: Settings) -> None:
        if settings.threads:
            raise ValueError("must be 0 here")

    monkeypatch.setenv("STEMSERVE_THREADS", "3")
    monkeypatch.setenv("STEMSERVE_LOG_LEVEL", "loud")
    with pytest.raises(WrongSettings) as caught:
        settings_check.read(rules={"threads": no_threads})
    _, line = sorted(str(caught.value).splitlines())
    assert line == "STEMSERVE_THREADS=3: must be 0 here."


def test_the_error_survives_pickle() -> None:
    error = pickle.loads(pickle.dumps(WrongSettings("a", "b")))  # noqa: S301
    assert str(error) == "a\nb"


def test_a_long_or_strange_value_stays_on_one_line() -> None:
    text = settings_check.shown("x\ny\x1b[31m" + "z" * 1000)
    assert text.isprintable()
    assert len(text) < 100


@pytest.mark.parametrize("missing", ["otlp.proto", "otlp.proto.http"])
def test_traces_need_their_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    package = "opentelemetry.exporter"
    monkeypatch.delitem(sys.modules, f"{package}.otlp.proto.http", raising=False)
    monkeypatch.setitem(sys.modules, f"{package}.{missing}", None)
    monkeypatch.setenv("STEMSERVE_TRACES", "otlp")
    with pytest.raises(WrongSettings, match=r"pip install 'stemserve\[traces\]'"):
        settings_check.read()
    # Another machine may have it.
    assert list(settings_check.faults({"traces": "otlp"})) == []
    monkeypatch.setenv("STEMSERVE_TRACES", "off")
    settings_check.read()


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]
)
def test_traces_by_grpc_are_refused_with_what_to_set(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("STEMSERVE_TRACES", "otlp")
    monkeypatch.setenv(name, "grpc")
    with pytest.raises(WrongSettings, match=f"set {name}=http/protobuf"):
        settings_check.read()
    for supported in ("", "http/protobuf"):
        monkeypatch.setenv(name, supported)
        assert settings_check.read().traces == "otlp"
