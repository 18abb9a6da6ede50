"""`stemserve keys`: create, list, rotate and revoke API keys."""

import logging
import os
import pwd
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console
from rich.table import Column, Table

from serve_app.access import audit, new_key
from serve_app.access.audit import Audit
from serve_app.access.keys import KeyStore
from serve_app.access.server_secret import server_secret
from serve_app.access.view import created_key, key_view
from serve_app.access.wire import CreatedKey, KeyRequest
from serve_app.cli.configuration import read_settings, settings_of
from serve_app.database import Database
from serve_app.errors import InvalidInput
from serve_app.settings import serve_config

# Writes a line of the audit log.
Record = Callable[..., None]

_SYSTEMS = "systems"
_COLUMNS = ("name", "tenant", "scopes", "state", "expires", "last used")


def create(
    given: Mapping[str, Any],
    expires_in_days: float | None,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Create a key and print it.

    Raises InvalidInput for invalid properties, Unavailable without the database.
    """
    now = _now()
    expires_at = None
    if expires_in_days is not None:
        expires_at = now + timedelta(days=expires_in_days)
    try:
        request = KeyRequest(**given, expires_at=expires_at)
    except ValidationError as err:
        first = err.errors()[0]
        field = str(first["loc"][-1])
        option = "NAME" if field == "name" else "--" + field.replace("_", "-")
        raise InvalidInput(f"{option}: {_reason(first)}.") from err
    new = new_key.checked(request, now)
    known = _systems(config)
    for system in sorted(new_key.systems_of(new) - known):
        names = ", ".join(sorted(known))
        print(
            f"Warning: the config has no system {system!r}. It has: {names}.",
            file=sys.stderr,
        )
    with _opened(config) as (keys, record):
        key, text = keys.create(new)
        record("key created", key_id=key.id)
    _print_created(created_key(key, text, now), as_json)


def show(config: Path | None, *, as_json: bool) -> None:
    """Print all keys."""
    with _opened(config) as (keys, record):
        views = [key_view(key, _now()) for key in keys.listed()]
        record("keys listed")
    if as_json:
        print("[" + ",\n ".join(_json(view) for view in views) + "]")
        return
    # Ids are never cut, so that they can be copied.
    table = Table(Column("id", no_wrap=True), *_COLUMNS)
    for view in views:
        scopes = " ".join(view.scopes)
        times = (_day(view.expires_at), _day(view.last_used_at))
        table.add_row(view.id, view.name, view.tenant, scopes, view.state, *times)
    Console().print(table)


def rotate(
    key_id: str, overlap_seconds: float, config: Path | None, *, as_json: bool
) -> None:
    """Replace a key and print the new one; raise KeyNotFound for an invalid one."""
    with _opened(config) as (keys, record):
        key, text = keys.rotate(key_id, overlap_seconds)
        record("key rotated", key_id=key_id)
    _print_created(created_key(key, text, _now()), as_json)


def revoke(key_id: str, config: Path | None, *, as_json: bool) -> None:
    """Revoke a key; raise KeyNotFound for an unknown one."""
    with _opened(config) as (keys, record):
        view = key_view(keys.revoke(key_id), _now())
        record("key revoked", key_id=key_id)
    print(_json(view) if as_json else f"Revoked the key {view.id} ({view.name}).")


@contextmanager
def _opened(config: Path | None) -> Iterator[tuple[KeyStore, Record]]:
    """Yield the keys, and what writes to the audit log: on standard error."""
    settings = read_settings(settings_of(config))
    audit.configure(logging.StreamHandler())
    record = partial(Audit(settings.audit, _now).command, user=_user())
    with Database(settings.effective_database_url) as database:
        yield (
            KeyStore(
                database, _now, server_secret(database, settings.given_access_secret)
            ),
            record,
        )


def _reason(error: ErrorDetails) -> str:
    """Return why a property is invalid; a pattern would need an explanation."""
    if error["type"] == "string_pattern_mismatch":
        return "must be printable ASCII characters, without spaces at the ends"
    return error["msg"]


def _user() -> str:
    """Return the name of the process's user, or its number if it has none."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _systems(config: Path | None) -> set[str]:
    """Return the names of the systems that a config runs."""
    path = serve_config.find(config or serve_config.DEFAULT)
    default = read_settings(settings_of(config)).default_systems
    return {
        name
        for application in serve_config.applications(path)
        for name in (application.args.get(_SYSTEMS) or default)
    }


def _print_created(view: CreatedKey, as_json: bool) -> None:
    if as_json:
        print(_json(view))
        return
    # The key alone on standard output, so that a script can read it.
    print(
        f"Created the key {view.id} of the tenant {view.tenant}. Store it now: it "
        "can't be shown again.",
        file=sys.stderr,
    )
    print(view.key)


def _json(view: BaseModel) -> str:
    return view.model_dump_json(exclude_none=True)


def _day(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def _now() -> datetime:
    return datetime.now(UTC)
