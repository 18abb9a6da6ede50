"""One item that fails holds up no other."""

import pytest

from serve_app.archive.errors import NotAllowed
from serve_app.archive.old_tables.each import for_each
from serve_app.errors import AppError, Unavailable


@pytest.mark.parametrize(
    ("error", "done"),
    [
        (NotAllowed("no"), [1, 3]),
        (ValueError("a bug"), [1, 3]),
        # The others would meet it too.
        (Unavailable("away"), [1]),
    ],
)
def test_the_others_are_done(error: Exception, done: list[int]) -> None:
    found: list[int] = []

    def do(number: int) -> None:
        if number == 2:
            raise error
        found.append(number)

    with pytest.raises(type(error)):
        for_each([(1,), (2,), (3,)], do)
    assert found == done


def test_the_first_error_is_raised() -> None:
    def do(number: int) -> None:
        raise AppError(str(number))

    with pytest.raises(AppError, match="1"):
        for_each([(1,), (2,)], do)
