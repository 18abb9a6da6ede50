"""Do the same for several things, of which one may fail."""

from collections.abc import Callable, Iterable
from typing import TypeVarTuple

from serve_app.errors import AppError

_Ts = TypeVarTuple("_Ts")


def for_each(items: Iterable[tuple[*_Ts]], do: Callable[[*_Ts], object]) -> None:
    """Call `do` with each item, also behind one that fails; raise the first error.

    Stop at an error that the others would meet too: something is unavailable, or the
    queue is full.
    """
    errors: list[Exception] = []
    for item in items:
        try:
            do(*item)
        except AppError as err:
            if err.retryable:
                raise
            errors.append(err)
        except Exception as err:
            errors.append(err)
    if errors:
        raise errors[0]
