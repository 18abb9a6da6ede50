"""Errors on their way from one replica to another."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ray.exceptions import RayActorError, RayError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import RayServeException

from serve_app.errors import AppError
from serve_app.jobs.runner import ReplicaDied

T = TypeVar("T")

# The class with its module that begins the last line of a traceback.
_CLASS = re.compile(r"^[\w.]+: ")


@dataclass(frozen=True)
class Failed:
    """What went wrong that is no bug, returned instead of raised.

    Of what a replica raises, Serve logs a page for each process on its way.
    """

    error: AppError


def value_of(answer: T | Failed) -> T:
    """Return what a replica has answered; raises the error that it has returned."""
    if isinstance(answer, Failed):
        raise answer.error
    return answer


def cause_of(error: BaseException) -> BaseException:
    """Return the error that Ray wrapped on its way between processes, or itself."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        return error.cause
    return error


def reason_of(messages: Iterable[str]) -> str | None:
    """Return in one line why a deployment did not start, by what Serve says of it.

    That ends with the traceback of its constructor, whose last line tells the error.
    None if no message tells anything.
    """
    for message in messages:
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        if lines:
            return _CLASS.sub("", lines[-1])
    return None


@contextmanager
def translated(unreachable: Callable[[Exception], AppError]) -> Iterator[None]:
    """Raise errors of ours for what a call of another replica raises.

    What the replica itself raised comes as it was; `unreachable` makes an error for a
    replica, or a whole deployment, that does not answer.
    """
    try:
        yield
    except (RayActorError, WorkerCrashedError) as error:
        raise ReplicaDied(str(error)) from error
    except RayTaskError as error:
        raise cause_of(error) from error
    except (RayError, RayServeException) as error:
        raise unreachable(error) from error
