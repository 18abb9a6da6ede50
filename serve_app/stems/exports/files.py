"""Files that are whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(target: Path) -> Iterator[None]:
    """Delete `target` where what writes it fails."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise
