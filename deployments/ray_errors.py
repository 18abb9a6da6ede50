"""Translate errors between replicas."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ray.exceptions import RayActorError, RayError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import RayServeException

from serve_app.errors import AppError
from serve_app.jobs.runner import ReplicaDied

logger = logging.getLogger(__name__)
T = TypeVar("T")

_DIED = "The process that did the work ended unexpectedly. Try again."

# The class and module at the start of the last line of a traceback.
_CLASS = re.compile(r"^[\w.]+: ")


@dataclass(frozen=True)
class Failed:
    """An expected error, returned instead of raised.

    If a replica raised it, Serve would log a traceback in every process on the way.
    """

    error: AppError


def value_of(result: T | Failed) -> T:
    """Return a replica's result, or raise the error that it returned."""
    if isinstance(result, Failed):
        raise result.error
    return result


def cause_of(error: BaseException) -> BaseException:
    """Return the original error inside Ray's wrapper, or `error` itself."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        return error.cause
    return error


def reason_of(messages: Iterable[str]) -> str | None:
    """Return in one line why a deployment did not start, from Serve's messages.

    A message ends with the constructor's traceback, whose last line is the error.
    Returns None if all messages are empty.
    """
    for message in messages:
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        if lines:
            return _CLASS.sub("", lines[-1])
    return None


@contextmanager
def translated(unreachable: Callable[[Exception], AppError]) -> Iterator[None]:
    """Translate the errors of a call to another replica.

    An error raised by the replica is raised as it was; ReplicaDied is raised if the
    replica died. For other errors of Ray or Serve, `unreachable` returns the error to
    raise.
    """
    try:
        yield
    except (RayActorError, WorkerCrashedError) as error:
        # Ray's text names addresses and processes, which are not for clients.
        logger.warning("replica died: %s", " ".join(str(error).split()))
        raise ReplicaDied(_DIED) from error
    except RayTaskError as error:
        raise cause_of(error) from error
    except (RayError, RayServeException) as error:
        raise unreachable(error) from error
