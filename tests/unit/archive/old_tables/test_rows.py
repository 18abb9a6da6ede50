"""Rows fit into the tables' columns, and have addresses that players can use."""

import pickle

import pytest

from serve_app.archive.errors import NotAllowed
from serve_app.archive.identity import Identity
from serve_app.archive.old_tables.errors import RowRefused
from serve_app.archive.old_tables.outward import stream_url
from serve_app.archive.old_tables.port import TableName
from serve_app.archive.old_tables.rows import check_lengths, id_of


@pytest.mark.parametrize("identity", [Identity(1, 1, "p" * 20, "r" * 10)])
def test_what_fits_is_accepted(identity: Identity) -> None:
    check_lengths(identity)
    check_lengths(Identity(1, 1, "p"))


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        (Identity(1, 1, "p" * 21), "`provider` may have at most 20 .*, got 21"),
        (Identity(1, 1, "p", "r" * 11), "`resolution` may have at most 10 .*, got 11"),
    ],
)
def test_what_does_not_fit_is_refused(identity: Identity, said: str) -> None:
    with pytest.raises(NotAllowed, match=said):
        check_lengths(identity)


def test_ids_are_one_for_each_identity_and_table() -> None:
    null, known = Identity(1, 1, "first"), Identity(1, 1, "first", "720p")
    ids = [id_of(table, each) for table in TableName for each in (null, known)]
    assert len(set(ids)) == 4
    assert id_of(TableName.QUEUE, null) == ids[0]


def test_stream_urls_name_null_unknown_and_hold_any_name() -> None:
    base = "https://s.example"
    assert (
        stream_url(base, Identity(1, 2, "first")) == f"{base}/stream/1/2/first/unknown"
    )
    odd = Identity(1, 2, "a/b?", "7 20")
    assert stream_url(base, odd) == f"{base}/stream/1/2/a%2Fb%3F/7%2020"


def test_a_refusal_survives_pickling() -> None:
    refusal = pickle.loads(pickle.dumps(RowRefused("no", "23505")))  # noqa: S301
    assert (refusal.detail, refusal.sqlstate, refusal.is_taken) == ("no", "23505", True)
