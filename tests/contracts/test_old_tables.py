"""Both ways to the old API's tables do the same."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from serve_app.archive.errors import NotAllowed
from serve_app.archive.identity import Identity
from serve_app.archive.media import MediaState
from serve_app.archive.old_tables.errors import RowRefused, TablesUnavailable
from serve_app.archive.old_tables.port import Page, TableName, Tables, Where
from serve_app.archive.old_tables.postgres import PostgresTables
from serve_app.archive.old_tables.providers import Providers
from serve_app.archive.old_tables.rest import RestTables
from serve_app.archive.old_tables.rows import Place, id_of, store_row
from serve_app.archive.old_tables.tables import OldTables
from tests.databases import Postgres
from tests.old_tables import postgrest
from tests.old_tables.api_server import ApiServer
from tests.ports import free_port

QUEUE, STORE = TableName
KNOWN = Identity(1234, 5, "first", "720p")
NULL = Identity(1234, 5, "first")
ALL = Page(limit=100)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=["direct", "rest"])
def tables(request: pytest.FixtureRequest, api: ApiServer) -> Iterator[Tables]:
    if request.param == "direct":
        direct = PostgresTables(api.url)
        yield direct
        direct.close()
        return
    with postgrest.serving(api.url) as server:
        rest = RestTables(server.url + "/", postgrest.KEY)
        yield rest
        rest.close()


@pytest.fixture
def old(tables: Tables) -> OldTables:
    return OldTables(tables, now)


def queued(identity: Identity = KNOWN, **changes: Any) -> dict[str, Any]:
    return {**vars(identity), "video_url": "https://a.example/1.mp4", **changes}


def stored(identity: Identity = KNOWN, path: str = "1234/ep5/ab.mp4") -> Any:
    place = Place(2, "me/videos", path, f"https://hub.example/{path}")
    return store_row(identity, place, "https://s.example/stream/1234/5/first/720p")


def test_a_row_comes_back_as_it_was_inserted(tables: Tables) -> None:
    odd = "https://a.example/ü,(1).mp4?x=\"1'&y=%20+\\"
    given = queued(id=str(uuid4()), video_url=odd, retry_count=3)
    assert tables.insert(QUEUE, given)
    (row,) = tables.select(QUEUE, Where(equal=vars(KNOWN)), ALL)
    assert {name: row[name] for name in given} | {"id": str(row["id"])} == given
    assert (row["status"], row["error_message"]) == ("pending", None)


def test_null_equals_null_only(tables: Tables) -> None:
    tables.insert(QUEUE, queued(KNOWN))
    tables.insert(QUEUE, queued(NULL))
    for identity in (KNOWN, NULL):
        (row,) = tables.select(QUEUE, Where(equal=vars(identity)), ALL)
        assert row["resolution"] == identity.resolution


def test_a_second_row_of_an_id_or_an_identity_is_not_inserted(tables: Tables) -> None:
    own_id = id_of(QUEUE, NULL)
    assert tables.insert(QUEUE, queued(NULL, id=own_id))
    assert not tables.insert(QUEUE, queued(NULL, id=own_id))
    assert tables.insert(QUEUE, queued(KNOWN))
    assert not tables.insert(QUEUE, queued(KNOWN))
    assert len(tables.select(QUEUE, Where(), ALL)) == 2


def test_pages_are_in_order_and_disjoint(tables: Tables) -> None:
    for episode in (3, 1, 2, 5, 4):
        tables.insert(QUEUE, queued(Identity(1, episode, "first")))
    pages = [
        [
            row["episode"]
            for row in tables.select(QUEUE, Where(), Page(("episode",), 2, offset))
        ]
        for offset in (0, 2, 4, 6)
    ]
    assert pages == [[1, 2], [3, 4], [5], []]
    oldest = tables.select(QUEUE, Where(), ALL)
    assert [row["episode"] for row in oldest] == [3, 1, 2, 5, 4]


def test_rows_among_several_values(tables: Tables) -> None:
    for number, provider in enumerate(("first", "second", "first")):
        tables.insert(QUEUE, queued(Identity(number, 1, provider)))
    where = Where({"provider": "first"}, {"mal_id": [0, 1, 7]})
    (row,) = tables.select(QUEUE, where, ALL)
    assert row["mal_id"] == 0


def test_only_rows_that_match_change(tables: Tables) -> None:
    tables.insert(QUEUE, queued(KNOWN))
    tables.insert(QUEUE, queued(NULL))
    where = Where({**vars(NULL), "status": "pending"})
    assert tables.update(QUEUE, where, {"status": "failed", "error_message": "x"}) == 1
    assert tables.update(QUEUE, where, {"status": "failed"}) == 0
    states = {
        row["resolution"]: row["status"] for row in tables.select(QUEUE, Where(), ALL)
    }
    assert states == {None: "failed", "720p": "pending"}


def test_only_rows_that_match_are_deleted(tables: Tables) -> None:
    tables.insert(QUEUE, queued(KNOWN))
    tables.insert(QUEUE, queued(NULL))
    assert tables.delete(QUEUE, Where(equal=vars(NULL))) == 1
    (row,) = tables.select(QUEUE, Where(), ALL)
    assert row["resolution"] == "720p"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"provider": "third"}, "video_queue_provider_check"),
        ({"status": "lost"}, "video_queue_status_check"),
        ({"resolution": "12345678901"}, "value too long"),
        ({"mal_id": 10**12}, "out of range"),
        ({"video_url": None}, "video_url"),
    ],
)
def test_a_refusal_names_what_refused(
    tables: Tables, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(RowRefused, match=named) as refusal:
        tables.insert(QUEUE, queued(**changes))
    assert not refusal.value.retryable


def test_a_change_may_be_refused_too(tables: Tables) -> None:
    tables.insert(QUEUE, queued())
    with pytest.raises(RowRefused, match="status_check"):
        tables.update(QUEUE, Where(), {"status": "lost"})


def test_a_missing_table_is_unavailable(tables: Tables, api: ApiServer) -> None:
    api.run("ALTER TABLE video_queue RENAME TO away")
    try:
        with pytest.raises(TablesUnavailable, match="video_queue"):
            tables.select(QUEUE, Where(), ALL)
    finally:
        api.run("ALTER TABLE away RENAME TO video_queue")
    assert tables.select(QUEUE, Where(), ALL) == []


def test_checks_are_read_where_they_can_be(tables: Tables) -> None:
    checks = tables.checks("provider")
    if isinstance(tables, RestTables):
        assert checks is None
        return
    assert checks is not None
    assert [(check.table, check.name) for check in checks] == [
        (QUEUE, "video_queue_provider_check"),
        (STORE, "video_store_provider_check"),
    ]
    assert "'second'" in checks[0].definition


@pytest.mark.parametrize(
    "check",
    [
        "provider IN ('first', 'second')",
        "provider = ANY (ARRAY['first', 'second'])",
        "provider = 'first' OR provider = 'second'",
    ],
)
def test_a_check_is_understood_as_the_database_words_it(
    api: ApiServer, check: str
) -> None:
    name = "video_queue_provider_check"
    tables = PostgresTables(api.url)
    api.run(f"ALTER TABLE video_queue DROP CONSTRAINT {name}")
    api.run(f"ALTER TABLE video_queue ADD CONSTRAINT {name} CHECK ({check})")
    providers = Providers((), tables)
    for allowed in ("first", "second"):
        providers.check(allowed)
    with pytest.raises(NotAllowed, match=f"`{name}`.*`first`, `second`"):
        providers.check("third")
    tables.close()


def test_a_column_without_a_check_has_none(
    api: ApiServer,
) -> None:
    tables = PostgresTables(api.url)
    assert tables.checks("video_url") == []
    tables.close()


def test_of_several_rows_the_oldest_stays_with_the_newest_url(
    old: OldTables, api: ApiServer
) -> None:
    for number in range(10):
        api.enqueue(NULL, f"https://a.example/{number}.mp4")
    oldest = api.rows("video_queue", NULL)[0]
    assert api.queue(NULL) is None
    row = old.queue_row(NULL)
    assert row is not None
    assert (row.id, row.url) == (str(oldest["id"]), "https://a.example/9.mp4")
    left = api.queue(NULL)
    assert left is not None
    assert (left["id"], left["video_url"]) == (oldest["id"], row.url)


def test_a_failed_row_starts_again_with_its_duplicate(
    old: OldTables, api: ApiServer
) -> None:
    api.enqueue(NULL, "https://a.example/0.mp4")
    api.run("UPDATE video_queue SET status = 'failed'")
    api.enqueue(NULL, "https://a.example/1.mp4")
    row = old.queue_row(NULL)
    assert row is not None
    assert row.status is MediaState.PENDING
    assert (api.queue(NULL) or {})["status"] == "pending"


def test_a_running_row_goes_on_with_its_duplicate(
    old: OldTables, api: ApiServer
) -> None:
    api.enqueue(NULL, "https://a.example/0.mp4")
    api.run("UPDATE video_queue SET status = 'downloading'")
    api.enqueue(NULL, "https://a.example/1.mp4")
    old.queue_row(NULL)
    assert (api.queue(NULL) or {})["status"] == "downloading"


@pytest.mark.parametrize("identity", [KNOWN, NULL])
def test_our_row_is_inserted_once(
    old: OldTables, api: ApiServer, identity: Identity
) -> None:
    for _ in range(2):
        old.add_queue_row(identity, "https://a.example/1.mp4", MediaState.FAILED, {})
    assert (api.queue(identity) or {})["status"] == "failed"


def test_a_row_that_was_changed_meanwhile_stays(old: OldTables, api: ApiServer) -> None:
    api.enqueue(KNOWN, "https://a.example/1.mp4")
    row = old.queue_row(KNOWN)
    assert row is not None
    api.run("UPDATE video_queue SET status = 'failed'")
    assert not old.change(row, {"status": "ready"})
    assert (api.queue(KNOWN) or {})["status"] == "failed"


@pytest.mark.parametrize("identity", [KNOWN, NULL])
def test_what_is_stored_has_one_row(
    old: OldTables, api: ApiServer, identity: Identity
) -> None:
    assert old.find_stored(identity) is None
    for path in ("1234/ep5/ab.mp4", "1234/ep5/cd.mp4", "1234/ep5/cd.mp4"):
        old.put_stored(stored(identity, path))
        assert old.find_stored(identity) == stored(identity, path)
        row = api.stored(identity)
        assert row is not None
        assert row["file_key"] == path[9:11]
        assert old.has_stored_url(row["hf_direct_url"])
    assert not old.has_stored_url(f"{row['hf_direct_url']}?a=1,2&b=(3)")
    old.remove_stored(identity)
    assert old.find_stored(identity) is None


def test_an_id_of_another_type_is_left_to_the_database(
    old: OldTables, api: ApiServer
) -> None:
    api.run(
        "ALTER TABLE video_store DROP COLUMN id, "
        "ADD COLUMN id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
    )
    try:
        for identity in (KNOWN, NULL):
            for path in ("1234/ep5/ab.mp4", "1234/ep5/cd.mp4"):
                old.put_stored(stored(identity, path))
            assert api.stored(identity) is not None
    finally:
        api.run(
            "ALTER TABLE video_store DROP COLUMN id, "
            "ADD COLUMN id uuid PRIMARY KEY DEFAULT gen_random_uuid()"
        )


def upsert(api: ApiServer, identity: Identity, path: str) -> None:
    """Store as the original worker did."""
    row = {**vars(identity), **stored(identity, path).location}
    api.run(
        "SELECT upsert_video_store(%(mal_id)s, %(episode)s, %(provider)s, "
        "%(resolution)s, %(file_key)s, %(hf_account)s, %(hf_repo)s, %(hf_path)s, "
        "%(hf_direct_url)s, %(stream_url)s)",
        row,
    )


def test_of_several_stored_rows_the_newest_is_read_and_stays(
    old: OldTables, api: ApiServer
) -> None:
    for path in ("a/a/a1.mp4", "a/a/a2.mp4", "a/a/a3.mp4"):
        upsert(api, NULL, path)
    assert api.stored(NULL) is None
    assert old.find_stored(NULL) == stored(NULL, "a/a/a3.mp4")
    assert old.merge_duplicates(STORE, 0, 100) == 3
    assert (api.stored(NULL) or {})["hf_path"] == "a/a/a3.mp4"


def test_duplicates_are_found_in_both_tables(old: OldTables, api: ApiServer) -> None:
    for identity in (NULL, KNOWN, Identity(1, 1, "second"), NULL):
        api.enqueue(identity, "https://a.example/1.mp4")
    assert old.merge_duplicates(QUEUE, 0, 100) == 3
    assert len(api.run("SELECT id FROM video_queue")) == 3


def test_stored_identities_of_some_series(old: OldTables) -> None:
    other = Identity(7, 1, "second")
    for identity in (KNOWN, NULL, other):
        old.put_stored(stored(identity))
    assert old.stored_among([1234, 1234, 8]) == {KNOWN, NULL}


def test_a_stopped_database_is_unavailable(postgres: Postgres) -> None:
    with postgres.new_database() as url:
        api = ApiServer(url)
        api.create()
        tables = PostgresTables(url)
        assert tables.select(QUEUE, Where(), ALL) == []
        postgres.stop()
        try:
            with pytest.raises(TablesUnavailable):
                tables.select(QUEUE, Where(), ALL)
        finally:
            postgres.start()
        assert tables.select(QUEUE, Where(), ALL) == []
        tables.close()
        api.close()


def test_nothing_outlives_a_transaction(api: ApiServer) -> None:
    """Behind a transaction pooler the next statement may run on any connection."""
    tables = PostgresTables(api.url)
    for _ in range(20):
        tables.select(QUEUE, Where(equal=vars(KNOWN)), ALL)
        tables.insert(QUEUE, queued(KNOWN))
    with tables._engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name FROM pg_prepared_statements")
        assert rows.all() == []
        limit = connection.exec_driver_sql("SHOW statement_timeout").scalar_one()
        assert limit == "0"
        locks = connection.exec_driver_sql(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        )
        assert locks.all() == []
    tables.close()


def test_a_locked_row_is_waited_for_no_longer_than_the_limit(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "serve_app.archive.old_tables.postgres._TIMEOUT_MILLISECONDS", 300
    )
    api.enqueue(KNOWN, "https://a.example/1.mp4")
    tables = PostgresTables(api.url)
    with api.connection.transaction():
        api.run("SELECT * FROM video_queue FOR UPDATE")
        with pytest.raises(TablesUnavailable, match="57014"):
            tables.update(QUEUE, Where(), {"status": "failed"})
    assert tables.update(QUEUE, Where(), {"status": "failed"}) == 1
    tables.close()


@pytest.mark.parametrize("trouble", ["down", "key", "nobody"])
def test_rest_that_does_not_answer_is_unavailable(api: ApiServer, trouble: str) -> None:
    with postgrest.serving(api.url) as server:
        server.is_down = trouble == "down"
        key = "wrong" if trouble == "key" else postgrest.KEY
        url = server.url
        if trouble == "nobody":
            url = f"http://127.0.0.1:{free_port()}"
        tables = RestTables(url, key)
        said = {
            "down": "503",
            "key": "Invalid API key. Check SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY",
            "nobody": "ConnectError",
        }
        with pytest.raises(TablesUnavailable, match=said[trouble]) as error:
            tables.select(QUEUE, Where(), ALL)
        assert key not in str(error.value)
        assert len(server.requests) == (trouble != "nobody")
        tables.close()


def test_no_key_is_logged(api: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), postgrest.serving(api.url) as server:
        tables = RestTables(server.url, postgrest.KEY)
        tables.select(QUEUE, Where(), ALL)
        tables.close()
    assert postgrest.KEY not in caplog.text
