"""What the original stored is found, without asking for each range."""

import pytest

from serve_app.archive.identity import Identity
from serve_app.archive.old_tables import lookup
from serve_app.archive.old_tables.errors import TablesUnavailable
from serve_app.archive.old_tables.lookup import Lookup
from serve_app.archive.old_tables.rows import Place, StoreRow, store_row

KNOWN = Identity(1234, 5, "first", "720p")
URL = "https://h.example/c"
ROW = store_row(KNOWN, Place(1, "r", "a/b/c.mp4", URL), "s")


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

    def has_stored_url(self, url: str) -> bool:
        self.asked += 1
        return any(row.hf_direct_url == url for row in self.rows.values())


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_both_answers_are_kept_for_a_while() -> None:
    stored, clock, other = Stored(), Seconds(), Identity(1, 1, "first")
    found = Lookup(stored, clock)  # type: ignore[arg-type]
    for _ in range(3):
        assert (found.url_of(KNOWN), found.url_of(other)) == (URL, None)
        assert (found.has_url(URL), found.has_url("https://other")) == (True, False)
    assert stored.asked == 4
    clock.now = 30.0
    del stored.rows[KNOWN]
    assert found.url_of(KNOWN) is None
    assert not found.has_url(URL)


def test_an_error_is_not_kept() -> None:
    stored = Stored()
    found = Lookup(stored, Seconds())  # type: ignore[arg-type]
    stored.is_away = True
    with pytest.raises(TablesUnavailable):
        found.url_of(KNOWN)
    stored.is_away = False
    assert found.url_of(KNOWN) == URL


def test_the_oldest_answers_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_MOST", 3)
    stored = Stored()
    found = Lookup(stored, Seconds())  # type: ignore[arg-type]
    for episode in range(5):
        found.url_of(Identity(1, episode, "first"))
    assert len(found._urls._found) == 3
    asked = stored.asked
    found.url_of(Identity(1, 4, "first"))
    assert stored.asked == asked
    found.url_of(Identity(1, 0, "first"))
    assert stored.asked == asked + 1
