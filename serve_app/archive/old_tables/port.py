"""What the archive needs of the database that has the old API's tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

Values = Mapping[str, Any]


class TableName(StrEnum):
    """The two tables."""

    QUEUE = "video_queue"
    STORE = "video_store"


@dataclass(frozen=True)
class Where:
    """Rows whose columns are `equal` to values, or `among` several of them.

    None is null.
    """

    equal: Values = field(default_factory=dict)
    among: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """At most `limit` rows, by the columns of `order`, after the first `offset`."""

    order: tuple[str, ...] = ("created_at", "id")
    limit: int = 200
    offset: int = 0


@dataclass(frozen=True)
class Check:
    """A check constraint of a column: its name, and its definition as SQL."""

    table: TableName
    name: str
    definition: str


class Tables(Protocol):
    """The tables. Methods block, are thread-safe, and raise TablesUnavailable.

    Each call is a transaction of its own: over HTTP there are no others.
    """

    def select(
        self, table: TableName, where: Where, page: Page
    ) -> list[dict[str, Any]]:
        """Return rows, with all columns."""

    def insert(self, table: TableName, values: Values) -> bool:
        """Insert a row; return False if its id or its identity is taken.

        Raises RowRefused.
        """

    def update(self, table: TableName, where: Where, values: Values) -> int:
        """Change rows, and return how many. Raises RowRefused."""

    def delete(self, table: TableName, where: Where) -> int:
        """Delete rows, and return how many."""

    def checks(self, column: str) -> list[Check] | None:
        """Return the check constraints of a column, or None if they can't be read."""
