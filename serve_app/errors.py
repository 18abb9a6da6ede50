"""The errors that callers can handle.

AppError
├── BadRequest            400  the request itself is malformed
├── Unauthorized          401  credentials are required, or are not valid
├── Forbidden             403  the credentials don't allow this request
├── BodyTooSlow           408  the request's body arrived too slowly
├── TenantRequired        403  the gateway did not name the request's tenant
├── ForeignOrigin         403  a web page of an origin that is not allowed
├── JobNotFound           404  unknown or expired
├── StemNotFound          404  the job has no such stem
├── MixNotFound           404  the job has no such mix
├── UploadNotFound        404  unknown, used, cancelled or expired
├── DeliveryNotFound      404  the job has no such delivery
├── KeyNotFound           404  there is no such API key
├── JobExists             409  another job has the same unique key
├── NotReady              409  the job has no stems yet, or never will
├── UploadIncomplete      409  parts of a direct upload are missing
├── UploadBusy            409  another request is processing the same upload
├── PreconditionFailed    412  the file is another version than the client's
├── UploadTooLarge        413
├── AudioTooLong          413
├── RangeNotSatisfiable   416  the requested range is outside the file
├── MisdirectedRequest    421  the Host header names another server
├── InvalidInput          422  the request is well-formed but can't be processed
│   ├── KeyReused         422  the Idempotency-Key was used for another request
│   ├── RefusedUrl        422  a URL that the server's rules don't allow
│   ├── UnreachableUrl    422  a URL whose server does not deliver the file
│   ├── InvalidField      422  a form field is invalid; `field` is its name
│   └── UnreadableAudio   422  the file can't be decoded completely as audio
├── TooManyRequests       429  the client or the server has reached its limit
├── QueueFull             429  try again after `retry_after_seconds`
├── QuotaExceeded         429  the tenant has used its quota, until then
├── Cancelled             409  the job was cancelled while it ran
├── LeaseLost             409  another attempt owns the job now
├── NoDirectUploads       501  the storage does not support direct uploads
└── Unavailable           503  try again later
    ├── Busy                   the server handles its maximum of such requests
    ├── TryLater               something else asked to be left alone for a while
    ├── WeightsUnavailable     a model's weights can't be loaded
    ├── FileLost               a stored file is missing
    ├── DatabaseUnavailable    the database is unreachable
    └── StorageUnavailable     the storage is unreachable
        └── StorageFull        the storage is full

All arguments are positional and kept in `args`, so that every error can be pickled.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class AppError(Exception):
    """An error with a stable code, an HTTP status and a message with what to do."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadRequest(AppError):
    code, status = "bad_request", 400


class Unauthorized(AppError):
    """Credentials are required, or are not valid; `has_credentials` tells which.

    `credential` is the name of those that were valid once, such as `key:ID`.
    """

    code, status = "unauthorized", 401

    def __init__(
        self, detail: str, has_credentials: bool = True, credential: str = ""
    ) -> None:
        super().__init__(detail)
        self.args = (detail, has_credentials, credential)
        self.has_credentials = has_credentials
        self.credential = credential


class Forbidden(AppError):
    """The credentials don't allow this request: it needs `scope`, if there is one."""

    code, status = "forbidden", 403

    def __init__(self, detail: str, scope: str = "") -> None:
        super().__init__(detail)
        self.args = (detail, scope)
        self.scope = scope


class TenantRequired(AppError):
    code, status = "tenant_required", 403


class BodyTooSlow(AppError):
    code, status, retryable = "body_too_slow", 408, True


class ForeignOrigin(AppError):
    code, status = "foreign_origin", 403


class JobNotFound(AppError):
    code, status = "job_not_found", 404

    def __init__(
        self,
        detail: str = "There is no such job: it has expired or was deleted, or the id "
        "is wrong. Check the id, or send it again.",
    ) -> None:
        super().__init__(detail)


class JobExists(AppError):
    """Another job, `job_id`, has the same unique key."""

    code, status = "job_exists", 409

    def __init__(self, detail: str, job_id: str = "") -> None:
        super().__init__(detail)
        self.args = (detail, job_id)
        self.job_id = job_id


class StemNotFound(AppError):
    code, status = "stem_not_found", 404


class MixNotFound(AppError):
    code, status = "mix_not_found", 404

    def __init__(
        self,
        detail: str = "There is no such mix: newer ones have replaced it, or the id is "
        "wrong. Request it again with POST /job/{job_id}/mix.",
    ) -> None:
        super().__init__(detail)


class DeliveryNotFound(AppError):
    code, status = "delivery_not_found", 404


class KeyNotFound(AppError):
    code, status = "key_not_found", 404


class NotReady(AppError):
    code, status = "not_ready", 409


class UploadNotFound(AppError):
    code, status = "upload_not_found", 404


class UploadIncomplete(AppError):
    code, status = "upload_incomplete", 409


class UploadBusy(AppError):
    code, status, retryable = "upload_busy", 409, True


class NoDirectUploads(AppError):
    code, status = "no_direct_uploads", 501


class PreconditionFailed(AppError):
    code, status = "precondition_failed", 412


class UploadTooLarge(AppError):
    code, status = "upload_too_large", 413


class AudioTooLong(AppError):
    code, status = "audio_too_long", 413


class RangeNotSatisfiable(AppError):
    code, status = "range_not_satisfiable", 416

    def __init__(self, detail: str, size_bytes: int) -> None:
        super().__init__(detail)
        self.args = (detail, size_bytes)
        self.size_bytes = size_bytes


class MisdirectedRequest(AppError):
    code, status = "misdirected_request", 421


class InvalidInput(AppError):
    """The request can't be processed; `detail` says what is allowed."""

    code, status = "invalid_input", 422


class KeyReused(InvalidInput):
    code = "idempotency_key_reused"


class RefusedUrl(InvalidInput):
    code = "refused_url"


class UnreachableUrl(InvalidInput):
    code = "unreachable_url"


class InvalidField(InvalidInput):
    code = "invalid_field"

    def __init__(self, detail: str, field: str) -> None:
        super().__init__(detail)
        self.args = (detail, field)
        self.field = field


class UnreadableAudio(InvalidInput):
    code = "unreadable_audio"


class TooManyRequests(AppError):
    code, status, retryable = "too_many_requests", 429, True


class QueueFull(AppError):
    code, status, retryable = "queue_full", 429, True

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.args = (detail, retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class QuotaExceeded(AppError):
    code, status, retryable = "quota_exceeded", 429, True

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.args = (detail, retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class Cancelled(AppError):
    """The job was cancelled while it ran."""

    code, status = "cancelled", 409


class LeaseLost(AppError):
    code, status = "lease_lost", 409


class Unavailable(AppError):
    code, status, retryable = "unavailable", 503, True


class Busy(Unavailable):
    code = "busy"


class TryLater(Unavailable):
    """Something else asked to be left alone: the job runs again after that time."""

    def __init__(self, detail: str, delay_seconds: float) -> None:
        super().__init__(detail)
        self.args = (detail, delay_seconds)
        self.delay_seconds = delay_seconds


class WeightsUnavailable(Unavailable):
    code = "weights_unavailable"


class FileLost(Unavailable):
    code = "file_lost"


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"


class StorageFull(StorageUnavailable):
    code = "storage_full"


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def not_written(path: object, error: OSError) -> InvalidInput:
    """Return the error for a file that can't be written, with what to do."""
    advice = " Create its folder first." if isinstance(error, FileNotFoundError) else ""
    return InvalidInput(f"{path} can't be written: {error.strerror}.{advice}")


def is_disk_full(err: OSError) -> bool:
    """Return whether `err` reports a full disk or an exceeded disk quota."""
    return err.errno in _DISK_FULL


@contextmanager
def disk_full_as_unavailable() -> Iterator[None]:
    """Translate an OSError for a full disk into StorageFull."""
    try:
        yield
    except OSError as err:
        if is_disk_full(err):
            raise StorageFull(
                "A disk of the server is full. Try again later; the operator must "
                "free some space on it."
            ) from err
        raise
