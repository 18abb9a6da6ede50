"""The errors a caller can do something about.

AppError
├── BadRequest            400  the request itself is malformed
├── BodyTooSlow           408  the request's body came too slowly
├── TenantRequired        403  the gateway did not say whose the request is
├── ForeignOrigin         403  a web page that may not use this server
├── JobNotFound           404  unknown or expired
├── StemNotFound          404  the job has no such stem
├── UploadNotFound        404  unknown, used, given up or expired
├── DeliveryNotFound      404  the job has no such delivery
├── JobExists             409  another job is about the same
├── NotReady              409  the job has no stems yet, or never will
├── UploadIncomplete      409  parts of a direct upload have not come
├── UploadBusy            409  another request takes the same upload in just now
├── UploadTooLarge        413
├── AudioTooLong          413
├── RangeNotSatisfiable   416  the file has no such bytes
├── MisdirectedRequest    421  a host name that is not this server's
├── InvalidInput          422  what was asked cannot be done
│   ├── KeyReused         422  an Idempotency-Key that stood for another request
│   ├── RefusedUrl        422  an address that we don't ask
│   ├── UnreachableUrl    422  an address that does not give us its file
│   ├── InvalidField      422  a form field we cannot use; `field` is its name
│   └── UnreadableAudio   422  the file is not audio that we can decode whole
├── TooManyRequests       429  the client, or the server, has as many as it may
├── QueueFull             429  try again after `retry_after_seconds`
├── Cancelled             409  the job was cancelled while it ran
├── LeaseLost             409  another attempt owns the job now
├── NoDirectUploads       501  the store of files can't be sent anything directly
└── Unavailable           503  try again later
    ├── Busy                   the server has as many such requests as it takes
    ├── WeightsUnavailable     a model's weights can't be had
    ├── FileLost               a file is not where it was stored
    ├── DatabaseUnavailable    the database does not answer
    └── StorageUnavailable     the store of files does not answer
        └── StorageFull        there is no room for files

Arguments are positional and all are kept in `args`, so every error survives pickle.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class AppError(Exception):
    """An error with a stable code, an HTTP status and a message: what to do."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadRequest(AppError):
    code, status = "bad_request", 400


class TenantRequired(AppError):
    code, status = "tenant_required", 403


class BodyTooSlow(AppError):
    code, status, retryable = "body_too_slow", 408, True


class ForeignOrigin(AppError):
    code, status = "foreign_origin", 403


class JobNotFound(AppError):
    code, status = "job_not_found", 404


class JobExists(AppError):
    """Another job is about the same: `job_id`."""

    code, status = "job_exists", 409

    def __init__(self, detail: str, job_id: str = "") -> None:
        super().__init__(detail)
        self.args = (detail, job_id)
        self.job_id = job_id


class StemNotFound(AppError):
    code, status = "stem_not_found", 404


class DeliveryNotFound(AppError):
    code, status = "delivery_not_found", 404


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
    """What was asked cannot be done; `detail` says what can."""

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


class Cancelled(AppError):
    """The job was cancelled while it ran."""

    code, status = "cancelled", 409


class LeaseLost(AppError):
    code, status = "lease_lost", 409


class Unavailable(AppError):
    code, status, retryable = "unavailable", 503, True


class Busy(Unavailable):
    code = "busy"


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


def is_disk_full(err: OSError) -> bool:
    """Whether there was no room on a disk, or none within a quota."""
    return err.errno in _DISK_FULL


@contextmanager
def disk_full_as_unavailable() -> Iterator[None]:
    """Raise StorageFull for an error that says that a disk is full."""
    try:
        yield
    except OSError as err:
        if is_disk_full(err):
            raise StorageFull(
                "A disk of the service is full. Try again later; the operator has to "
                "free some space on it."
            ) from err
        raise
