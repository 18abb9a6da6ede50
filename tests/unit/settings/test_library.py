"""The library has the original's variables, checked before anything starts."""

import pytest

from serve_app.library.settings_rules import RULES
from serve_app.settings import Settings
from serve_app.settings import check as settings_check
from serve_app.settings.check import WrongSettings

QUEUE = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/tasks"
ORIGINAL = {
    "AWS_REGION": "eu-central-1",
    "S3_BUCKET_NAME": "a-bucket",
    "SQS_QUEUE_URL": QUEUE,
    "WEBHOOK_URL": "http://10.0.0.5:3000/webhook",
    "MAX_FILE_SIZE_MB": "50",
    "DEFAULT_WAVEFORM_PEAKS": "2048",
    "ALLOWED_MIME_TYPES": "audio/wav, audio/mpeg",
    "LIBRARY_DEDUP": "self",
}


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ORIGINAL.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("original")
def test_the_variables_of_the_original_are_settings() -> None:
    settings = settings_check.read({}, RULES)
    assert settings.library_region == "eu-central-1"
    assert settings.library_bucket == "a-bucket"
    assert settings.library_queue_url == QUEUE
    assert settings.library_webhook_url == "http://10.0.0.5:3000/webhook"
    assert settings.library_max_file_bytes == 50 * 1024**2
    assert settings.library_peaks == 2048
    assert settings.library_media_types == ("audio/wav", "audio/mpeg")
    assert settings.library_dedup == "self"


def test_the_defaults_are_those_of_the_original() -> None:
    settings = Settings()
    assert settings.library_region == "ap-northeast-2"
    assert settings.library_max_file_bytes == 100 * 1024**2
    assert settings.library_peaks == 1024
    assert {"audio/aiff", "audio/x-m4a"} < set(settings.library_media_types)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"WEBHOOK_URL": ""}, "set WEBHOOK_URL"),
        ({"WEBHOOK_URL": "ftp://example.com"}, "https:// or http://"),
        ({"SQS_QUEUE_URL": "tasks"}, "must be the URL of a queue"),
        ({"SQS_QUEUE_URL": f"{QUEUE}.fifo"}, "standard queue"),
        ({"SQS_DLQ_URL": QUEUE}, "another queue"),
        ({"S3_BUCKET_NAME": "s3://files/folder"}, "without a folder"),
        ({"S3_BUCKET_NAME": "Not A Bucket"}, "the name of a bucket"),
        ({"AWS_REGION": "x y"}, "the name of a region"),
        ({"WEBHOOK_URL": "https://example.com/webhook?x=1"}, "no query"),
        ({"ALLOWED_MIME_TYPES": "wav"}, "such as audio/wav"),
        ({"MAX_FILE_SIZE_MB": "0"}, "more than 0"),
        ({"LIBRARY_DEDUP": "maybe"}, "one of server, self"),
    ],
)
@pytest.mark.usefixtures("original")
def test_a_wrong_one_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], words: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings, match=words):
        settings_check.read({}, RULES)
