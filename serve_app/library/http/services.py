"""What the library's routes need."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.library.arrivals import Arrivals
from serve_app.library.task import Stores


@dataclass(frozen=True)
class LibraryServices:
    """The jobs, and how they are added. Dispatchers can be woken, and have a status."""

    arrivals: Arrivals
    stores: Stores
    wake: Callable[[str], None]
    status: Callable[[], Awaitable[Mapping[str, Any]]]
