"""YAML keeps the line of each value."""

import pytest

from deployments.checking import document
from deployments.checking.document import InvalidYaml

TEXT = """\
a:
  b: 1
  c:
    - x
    - {d: 2}
text: |
  first
  second
---
other: true
"""


def test_each_place_has_its_line() -> None:
    first, second = document.read(TEXT)
    assert [
        first.line(place) for place in (("a",), ("a", "b"), ("a", "c", 1, "d"))
    ] == [*(1, 2, 5)]
    assert second.line(("other",)) == 10


def test_a_place_that_is_not_there_has_the_line_around_it() -> None:
    first, _ = document.read(TEXT)
    assert first.line(("a", "c", 7)) == 3
    assert first.line(("nothing",)) == 1


def test_a_text_inside_begins_on_the_next_line() -> None:
    first, _ = document.read(TEXT)
    assert first.block_line(("text",)) == 7
    assert first.block_line(("a", "b")) is None


def test_merged_and_repeated_keys_are_told_apart() -> None:
    [read] = document.read("base: &b {k: 1}\nuse: {<<: *b, k: 2}\nuse2: {k: 1, k: 2}")
    assert [each.place for each in read.faults] == [("use2", "k")]
    assert read.data["use"] == {"k": 2}


@pytest.mark.parametrize("text", ["a: [", "a: &x [*x]", "a: !!python/name:os.system"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidYaml) as caught:
        document.read(text, first_line=5)
    assert caught.value.line >= 5
