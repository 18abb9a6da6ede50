"""The settings choose how the tables are reached."""

import pytest
from pydantic import SecretStr

from serve_app.archive.old_tables.connect import connect
from serve_app.archive.old_tables.postgres import PostgresTables
from serve_app.archive.old_tables.rest import RestTables
from serve_app.settings import Settings

PUBLIC = {"archive_url": "https://stream.example"}
DIRECT = {"archive_database_url": SecretStr("postgres://me@localhost/old")}
REST = {
    "archive_supabase_url": "https://old.example",
    "archive_supabase_key": SecretStr("key"),
}


def settings(**given: object) -> Settings:
    return Settings().model_copy(update=given)


def test_nothing_without_settings() -> None:
    assert connect(settings()) is None


@pytest.mark.parametrize("name", REST)
def test_half_of_the_settings_is_nothing(name: str) -> None:
    assert connect(settings(**{name: REST[name]})) is None


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (REST, RestTables),
        (DIRECT, PostgresTables),
        ({**REST, **DIRECT}, PostgresTables),
    ],
)
def test_directly_if_possible(given: dict[str, object], kind: type) -> None:
    tables = connect(settings(**PUBLIC, **given))
    assert isinstance(tables, kind)
    assert isinstance(tables, RestTables | PostgresTables)
    tables.close()


def test_another_database_is_refused_without_its_password() -> None:
    url = SecretStr("mysql://me:secret@localhost/old")
    with pytest.raises(ValueError, match="mysql") as error:
        connect(settings(**PUBLIC, archive_database_url=url))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("given", [REST, DIRECT])
def test_a_public_url_is_required(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="STEMSERVE_ARCHIVE_URL"):
        connect(settings(**given))
