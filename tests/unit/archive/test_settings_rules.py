"""The archive's stores are checked before anything starts."""

from pathlib import Path

import pytest

from serve_app.archive.settings_rules import RULES
from serve_app.settings import check as settings_check
from serve_app.settings.check import WrongSettings

SALT = {"HF_FILE_SALT": "a secret"}
ACCOUNT = {"HF_STORAGE_USERNAME_1": "me", "HF_TOKEN_STORAGE_1": "hf_secret"}


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ARCHIVE_STORES": "one two s3://bucket/folder"},
        {"ARCHIVE_STORES": "s3://bucket?endpoint_url=http://127.0.0.1:9000"},
        {**ACCOUNT, **SALT},
        {**ACCOUNT, **SALT, "HF_STORAGE_USERNAME_5": "u", "HF_TOKEN_STORAGE_5": "t"},
    ],
)
def test_good_stores_are_accepted(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str]
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings_check.read({}, RULES)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ARCHIVE_STORES": "a b c d e f"}, "at most 5 stores, got 6"),
        ({"ARCHIVE_STORES": "a b a/"}, "lists a twice"),
        ({"ARCHIVE_STORES": "s3://b?region=x s3://b?region=y"}, "lists s3://b twice"),
        ({"ARCHIVE_STORES": "s3:///folder"}, "must be s3://bucket/folder"),
        ({"ARCHIVE_STORES": "s3://key:secret@bucket"}, "must be s3://bucket/folder"),
        ({"ARCHIVE_STORES": "ftp://example.com"}, "must be s3://bucket/folder"),
        ({"ARCHIVE_STORES": "s3://b?endpoint_url=minio"}, "http:// or https://"),
        ({"HF_TOKEN_STORAGE_2": "hf_a"}, "HF_STORAGE_USERNAME_2"),
        ({"HF_STORAGE_USERNAME_3": "me"}, "HF_TOKEN_STORAGE_3"),
        ({**ACCOUNT, "HF_STORAGE_USERNAME_1": "a b"}, "name of an account"),
        (
            {**ACCOUNT, "HF_STORAGE_USERNAME_2": "me", "HF_TOKEN_STORAGE_2": "hf_b"},
            "another store too",
        ),
        ({"STEMSERVE_ARCHIVE_HUB_REPOSITORY": "me/files"}, "without its account"),
    ],
)
def test_wrong_stores_say_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], words: str
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings, match=words) as raised:
        settings_check.read({}, RULES)
    assert "secret" not in str(raised.value).replace("its value is secret", "")


def test_a_directory_that_can_not_be_written_to_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("ARCHIVE_STORES", str(tmp_path / "file"))
    with pytest.raises(WrongSettings, match="file"):
        settings_check.read({}, RULES)
