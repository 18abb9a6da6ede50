"""What the library's routes need."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.library.arrivals import Arrivals
from serve_app.library.task import Stores


@dataclass(frozen=True)
class LibraryServices:
    """The jobs, and how they are added. Dispatchers can be woken, and have a status.

    `failing` returns how many webhooks wait that have failed before; `probe` raises
    Unavailable if the bucket does not respond. Both block.
    """

    arrivals: Arrivals
    stores: Stores
    wake: Callable[[str], None]
    status: Callable[[], Awaitable[Mapping[str, Any]]]
    failing: Callable[[], int]
    probe: Callable[[], None]
