"""Files that are written completely or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(target: Path) -> Iterator[None]:
    """Delete `target` if the block, which writes it, raises."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise
