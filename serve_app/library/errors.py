"""The errors of the library's tasks."""

from serve_app.errors import AppError, InvalidInput, Unavailable


class NotATask(InvalidInput):
    """A message that is no task; the text says why."""

    code = "not_a_task"


class ObjectMissing(AppError):
    """An object is not in the bucket, perhaps not yet."""

    code, status, retryable = "object_missing", 404, True


class ObjectForbidden(AppError):
    """The credentials have no access to an object."""

    code, status, retryable = "object_forbidden", 403, True


class FileTooLarge(AppError):
    """A file is larger than those that are analysed."""

    code, status = "file_too_large", 413


class WrongType(AppError):
    """A file is of a type that is not analysed."""

    code, status = "unsupported_type", 415


class DeletionRefused(AppError):
    """An object is kept, because it may not be the duplicate."""

    code, status = "deletion_refused", 409


class QueueUnavailable(Unavailable):
    """The queue of tasks is unreachable."""

    code = "queue_unavailable"
