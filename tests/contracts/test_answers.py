"""The contract of stored responses to requests with an idempotency key."""

from datetime import timedelta

from sqlalchemy import text

from serve_app.database import Database
from serve_app.idempotency.store import ResponseReceipt, StoredResponses
from tests.jobs import NOON, ManualClock, SongStore, answer, new_job


def test_answers_are_forgotten(
    store: SongStore, database: Database, clock: ManualClock
) -> None:
    kept = StoredResponses(database, clock)
    store.add(new_job("x"))
    store.add(new_job("a"), ResponseReceipt(answer()))
    late = answer("late", expires_at=NOON + timedelta(hours=25))
    store.add(new_job("b"), ResponseReceipt(late))
    clock.advance(24 * 3600)
    assert kept.find("r") is None
    kept.sweep()
    with database.reading() as connection:
        rows = connection.execute(text("SELECT id FROM answers")).scalars().all()
    assert rows == ["late"]
    again = answer(body={"job_id": "c"}, expires_at=NOON + timedelta(hours=48))
    assert store.add(new_job("c"), ResponseReceipt(again)) is None
    assert kept.find("r") == again


def test_of_answers_to_the_same_request_the_first_is_kept(
    database: Database, clock: ManualClock
) -> None:
    kept = StoredResponses(database, clock)
    assert kept.keep(answer()) is None
    assert kept.keep(answer(body={"job_id": "b"})) == answer()
    assert kept.find("r") == answer()
