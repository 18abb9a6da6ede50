from serve_app import errors
from serve_app.api import problems
from serve_app.api.wire import (
    Problem,
)
from serve_app.errors import AppError, AudioTooLong, UploadTooLarge


def all_errors(error: type[AppError] = AppError) -> list[type[AppError]]:
    below = [kind for child in error.__subclasses__() for kind in all_errors(child)]
    return [error, *below]


def test_every_error_of_ours_is_described_to_clients() -> None:
    for error in all_errors():
        if error.__module__ != errors.__name__:
            continue
        described = problems.documented(error)[error.status]
        examples = described["content"][problems.MEDIA_TYPE]["examples"]
        example = Problem.model_validate(examples[error.code]["value"])
        assert example.status == error.status
        assert example.retryable is error.retryable


def test_errors_that_share_a_status_are_described_side_by_side() -> None:
    described = problems.documented(UploadTooLarge, AudioTooLong)[413]
    examples = described["content"][problems.MEDIA_TYPE]["examples"]
    assert set(examples) == {"upload_too_large", "audio_too_long"}
