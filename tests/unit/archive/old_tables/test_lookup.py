"""What the original stored is found, without asking for each range."""

import pytest

from serve_app.archive.identity import Identity
from serve_app.archive.old_tables import lookup
from serve_app.archive.old_tables.errors import TablesUnavailable
from serve_app.archive.old_tables.lookup import Lookup
from serve_app.archive.old_tables.rows import Place, StoreRow, store_row

KNOWN = Identity(1234, 5, "first", "720p")
ROW = store_row(KNOWN, Place(1, "r", "a/b/c.mp4", "https://h.example/c"), "s")


class Stored:
    """Tables that store one row, and count how often they are asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.rows: dict[Identity, StoreRow] = {KNOWN: ROW}
        self.is_away = False

    def find_stored(self, identity: Identity) -> StoreRow | None:
        self.asked += 1
        if self.is_away:
            raise TablesUnavailable("away")
        return self.rows.get(identity)


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_both_answers_are_kept_for_a_while() -> None:
    stored, clock, other = Stored(), Seconds(), Identity(1, 1, "first")
    found = Lookup(stored, clock)  # type: ignore[arg-type]
    for _ in range(3):
        assert (found(KNOWN), found(other)) == (ROW, None)
    assert stored.asked == 2
    clock.now = 30.0
    del stored.rows[KNOWN]
    assert found(KNOWN) is None


def test_an_error_is_not_kept() -> None:
    stored = Stored()
    found = Lookup(stored, Seconds())  # type: ignore[arg-type]
    stored.is_away = True
    with pytest.raises(TablesUnavailable):
        found(KNOWN)
    stored.is_away = False
    assert found(KNOWN) == ROW


def test_the_oldest_answers_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_MOST", 3)
    stored = Stored()
    found = Lookup(stored, Seconds())  # type: ignore[arg-type]
    for episode in range(5):
        found(Identity(1, episode, "first"))
    assert len(found._found) == 3
    asked = stored.asked
    found(Identity(1, 4, "first"))
    assert stored.asked == asked
    found(Identity(1, 0, "first"))
    assert stored.asked == asked + 1
