"""The old API's tables, reached over PostgREST, as Supabase offers them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from postgrest import APIError, SyncPostgrestClient

from serve_app.archive.old_tables.errors import RowRefused, TablesUnavailable, error
from serve_app.archive.old_tables.port import Check, Page, TableName, Values, Where

_PATH = "/rest/v1"
_TIMEOUT_SECONDS = 15.0
# Trouble that only an operator can end.
_ADVICE = {
    # Errors of the database and of PostgREST have a code, those of its gateway none.
    "-": "Check SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY.",
    "401": "Check SUPABASE_SERVICE_ROLE_KEY.",
    "PGRST301": "Check SUPABASE_SERVICE_ROLE_KEY.",
    "42501": "SUPABASE_SERVICE_ROLE_KEY must be that of the service role.",
    "PGRST205": "Check SUPABASE_URL: that project has no such table.",
    "42P01": "Check SUPABASE_URL: that project has no such table.",
}


class RestTables:
    """The tables of the project at `url`; `key` is that of its service role."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(timeout=_TIMEOUT_SECONDS)
        self._client = SyncPostgrestClient(
            url.rstrip("/") + _PATH,
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            http_client=self._http,
            # The loop tries again, and says meanwhile what is wrong.
            retry_enabled=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def select(
        self, table: TableName, where: Where, page: Page
    ) -> list[dict[str, Any]]:
        """Return rows, with all columns."""
        query = _matching(self._client.from_(table).select("*"), where)
        for name in page.order:
            query = query.order(name)
        # Not `range`: its upper end is inclusive.
        return _rows(query.limit(page.limit).offset(page.offset))

    def insert(self, table: TableName, values: Values) -> bool:
        """Insert a row; return False if its id or its identity is taken."""
        try:
            _rows(self._client.from_(table).insert(dict(values)))
        except RowRefused as err:
            if not err.is_taken:
                raise
            return False
        return True

    def update(self, table: TableName, where: Where, values: Values) -> int:
        """Change rows, and return how many."""
        query = self._client.from_(table).update(dict(values))
        return len(_rows(_matching(query, where)))

    def delete(self, table: TableName, where: Where) -> int:
        """Delete rows, and return how many."""
        return len(_rows(_matching(self._client.from_(table).delete(), where)))

    def checks(self, column: str) -> list[Check] | None:
        """Return None: PostgREST shows no constraints."""
        return None


def _matching(query: Any, where: Where) -> Any:
    for name, value in where.equal.items():
        query = query.is_(name, None) if value is None else query.eq(name, value)
    for name, values in where.among.items():
        query = query.in_(name, values)
    return query


def _rows(query: Any) -> list[dict[str, Any]]:
    with _translated():
        rows: list[dict[str, Any]] = query.execute().data
    return rows


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except APIError as err:
        code = str(err.code or "-")
        # PostgREST passes the database's codes on.
        raise error(code, err.message or "", _ADVICE.get(code, "")) from err
    except httpx.HTTPError as err:
        raise TablesUnavailable(
            f"The old tables are unavailable ({type(err).__name__}): {err}"
        ) from err
