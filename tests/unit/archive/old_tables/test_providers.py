"""Providers are refused at the trigger, by the name of what refuses them."""

import pytest

from serve_app.archive.errors import NotAllowed
from serve_app.archive.old_tables.errors import TablesUnavailable
from serve_app.archive.old_tables.port import Check, TableName
from serve_app.archive.old_tables.providers import Providers

TWO = "CHECK (((provider)::text = ANY ((ARRAY['first'::character varying, 'second'])))"


class Checked:
    """Tables that have checks, and count how often they are asked."""

    def __init__(self, *definitions: str) -> None:
        self.checked = [
            Check(TableName.QUEUE, f"check_{number}", definition)
            for number, definition in enumerate(definitions)
        ]
        self.asked = 0
        self.is_away = False

    def checks(self, column: str) -> list[Check] | None:
        self.asked += 1
        if self.is_away:
            raise TablesUnavailable("away")
        return self.checked


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def providers(tables: Checked | None, *chosen: str) -> Providers:
    return Providers(chosen, tables, Seconds())  # type: ignore[arg-type]


def test_without_tables_and_settings_all_are_accepted() -> None:
    providers(None).check("anything")


def test_the_settings_choose() -> None:
    chosen = providers(None, "first", "third")
    chosen.check("third")
    with pytest.raises(NotAllowed, match=r"'second'.*ARCHIVE_PROVIDERS.*`first`, `thi"):
        chosen.check("second")


def test_a_check_is_named_with_what_it_allows() -> None:
    said = "'third'.*`check_0`.*`video_queue`.*`first`, `second`.*ALTER TABLE"
    with pytest.raises(NotAllowed, match=said):
        providers(Checked(TWO)).check("third")


def test_the_settings_do_not_widen_a_check() -> None:
    chosen = providers(Checked(TWO), "first", "third")
    chosen.check("first")
    for refused in ("second", "third"):
        with pytest.raises(NotAllowed):
            chosen.check(refused)


def test_all_checks_must_allow_it() -> None:
    both = providers(Checked(TWO, "CHECK ((provider = 'first'::text))"))
    both.check("first")
    with pytest.raises(NotAllowed, match="check_1"):
        both.check("second")


@pytest.mark.parametrize(
    "definition",
    [
        "CHECK ((length(provider) <= 20))",
        "CHECK ((provider <> ''::text))",
        "CHECK ((provider ~ '^[a-z]+$'::text))",
        "CHECK ((btrim(provider) = provider))",
    ],
)
def test_a_check_that_lists_no_values_refuses_none(definition: str) -> None:
    providers(Checked(definition)).check("third")


def test_quotes_in_names() -> None:
    quoted = providers(Checked("CHECK ((provider = 'o''neill'::text))"))
    quoted.check("o'neill")
    with pytest.raises(NotAllowed, match="`o'neill`"):
        quoted.check("o")


def test_checks_are_read_each_minute_and_kept_while_the_tables_are_away() -> None:
    tables, clock = Checked(TWO), Seconds()
    kept = Providers((), tables, clock)  # type: ignore[arg-type]
    for _ in range(3):
        kept.check("first")
    assert tables.asked == 1
    tables.is_away, clock.now = True, 60.0
    with pytest.raises(NotAllowed):
        kept.check("third")
    tables.is_away, tables.checked, clock.now = False, [], 120.0
    kept.check("third")
    assert tables.asked == 3
