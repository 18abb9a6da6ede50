"""A small PostgREST: its HTTP API for tables, on a real Postgres.

It knows what the archive uses: the filters eq, is and in, order, limit, offset,
`Prefer: return`, and errors in PostgREST's form.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg import sql

KEY = "service-role-key"
_PREFIX = "/rest/v1/"
# Supabase's default.
_MOST_ROWS = 1000
_NO_FILTERS = ("select", "order", "limit", "offset", "columns")
# Of a list of `in`: quoted with backslashes, or plain.
_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,]+)')
_STATUSES = {"23503": 409, "23505": 409, "42501": 403, "42P01": 404, "57014": 500}


class PostgrestServer(ThreadingHTTPServer):
    """A server for the database at `database_url`; `is_down` makes it fail."""

    daemon_threads = True

    def __init__(self, database_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.database_url = database_url
        self.is_down = False
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        """The address, as SUPABASE_URL has it."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(database_url: str) -> Iterator[PostgrestServer]:
    """Run a server meanwhile."""
    with PostgrestServer(database_url) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else headers and body wait for each other's acknowledgement, 40 ms each time.
    disable_nagle_algorithm = True
    server: PostgrestServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        self._answer(201)

    def do_PATCH(self) -> None:
        self._answer(200)

    def do_DELETE(self) -> None:
        self._answer(200)

    def _answer(self, status: int) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(f"{self.command} {self.path}")
        if self.server.is_down:
            self._send(503, "<html>Service Unavailable</html>", "text/html")
        elif self.headers.get("apikey") != KEY or (
            self.headers.get("Authorization") != f"Bearer {KEY}"
        ):
            # Of Supabase's gateway, not of PostgREST: it has no code.
            self._send(401, json.dumps({"message": "Invalid API key", "hint": "…"}))
        else:
            self._run(status, body)

    def _run(self, status: int, body: bytes) -> None:
        wants = self.headers.get("Prefer", "")
        try:
            rows = self._rows(body)
        except psycopg.Error as err:
            self._send(*_failure(err))
        else:
            is_silent = self.command != "GET" and "return=representation" not in wants
            self._send(status, "" if is_silent else json.dumps(rows))

    def _rows(self, body: bytes) -> list[Any]:
        address = urlsplit(self.path)
        table = sql.Identifier(address.path.removeprefix(_PREFIX))
        given = parse_qsl(address.query, keep_blank_values=True)
        where, values = _filters([each for each in given if each[0] not in _NO_FILTERS])
        statement = getattr(self, f"_{self.command.lower()}")(
            table, where, dict(given), body, values
        )
        return [row[0] for row in self._connection.execute(statement, values)]

    @cached_property
    def _connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.database_url, autocommit=True)

    def finish(self) -> None:
        """Close the connections."""
        super().finish()
        if "_connection" in vars(self):
            self._connection.close()

    def _get(
        self,
        table: sql.Identifier,
        where: sql.Composable,
        given: dict[str, str],
        body: bytes,
        values: dict[str, Any],
    ) -> sql.Composable:
        order = [
            sql.Identifier(name.removesuffix(".asc"))
            for name in given.get("order", "").split(",")
            if name
        ]
        return sql.SQL(
            "SELECT row_to_json(t) FROM {} t WHERE {} {} LIMIT {} OFFSET {}"
        ).format(
            table,
            where,
            sql.SQL("ORDER BY {}").format(sql.SQL(", ").join(order))
            if order
            else sql.SQL(""),
            sql.Literal(min(int(given.get("limit", _MOST_ROWS)), _MOST_ROWS)),
            sql.Literal(int(given.get("offset", 0))),
        )

    def _post(
        self,
        table: sql.Identifier,
        where: sql.Composable,
        given: dict[str, str],
        body: bytes,
        values: dict[str, Any],
    ) -> sql.Composable:
        values["_body"] = body.decode()
        names = sql.SQL(", ").join(map(sql.Identifier, json.loads(body)))
        return sql.SQL(
            "INSERT INTO {table} AS t ({names}) SELECT {names} "
            "FROM json_populate_record(null::{table}, %(_body)s::json) "
            "RETURNING row_to_json(t)"
        ).format(table=table, names=names)

    def _patch(
        self,
        table: sql.Identifier,
        where: sql.Composable,
        given: dict[str, str],
        body: bytes,
        values: dict[str, Any],
    ) -> sql.Composable:
        values["_body"] = body.decode()
        changes = sql.SQL(", ").join(
            sql.SQL("{0} = body.{0}").format(sql.Identifier(name))
            for name in json.loads(body)
        )
        return sql.SQL(
            "UPDATE {table} AS t SET {changes} "
            "FROM json_populate_record(null::{table}, %(_body)s::json) body "
            "WHERE {where} RETURNING row_to_json(t)"
        ).format(table=table, changes=changes, where=where)

    def _delete(
        self,
        table: sql.Identifier,
        where: sql.Composable,
        given: dict[str, str],
        body: bytes,
        values: dict[str, Any],
    ) -> sql.Composable:
        return sql.SQL("DELETE FROM {} t WHERE {} RETURNING row_to_json(t)").format(
            table, where
        )

    def _send(
        self, status: int, text: str, media_type: str = "application/json"
    ) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _filters(given: list[tuple[str, str]]) -> tuple[sql.Composable, dict[str, Any]]:
    parts: list[sql.Composable] = [sql.SQL("true")]
    values: dict[str, Any] = {}
    for number, (name, condition) in enumerate(given):
        operator, _, wanted = condition.partition(".")
        of_row = sql.SQL("t.{}").format(sql.Identifier(name))
        if operator == "is" and wanted == "null":
            parts.append(sql.SQL("{} IS NULL").format(of_row))
            continue
        if operator not in ("eq", "in"):
            raise AssertionError(f"this PostgREST knows no filter {condition!r}")
        items = [wanted] if operator == "eq" else _items(wanted)
        places = []
        for index, item in enumerate(items):
            values[f"v{number}_{index}"] = item
            places.append(sql.Placeholder(f"v{number}_{index}"))
        listed = sql.SQL(", ").join(places)
        parts.append(sql.SQL("{} IN ({})").format(of_row, listed))
    return sql.SQL(" AND ").join(parts), values


def _items(text: str) -> list[str]:
    inner = text.removeprefix("(").removesuffix(")")
    found = []
    for match in _ITEM.finditer(inner):
        quoted, plain = match.groups()
        found.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
    return found


def _failure(err: psycopg.Error) -> tuple[int, str]:
    code = err.sqlstate or "08006"
    is_input = code.startswith(("22", "23", "42"))
    said = {
        "code": code,
        "message": err.diag.message_primary or str(err),
        "details": err.diag.message_detail,
        "hint": err.diag.message_hint,
    }
    return _STATUSES.get(code, 400 if is_input else 503), json.dumps(said)
