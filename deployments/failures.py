"""What Ray's errors mean to us."""

from ray.exceptions import RayTaskError


def cause_of(error: BaseException) -> BaseException:
    """Return the error that Ray wrapped on its way between processes, or itself."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        return error.cause
    return error
