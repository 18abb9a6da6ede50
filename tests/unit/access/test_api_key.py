"""The text of API keys."""

import re
import string

import pytest

from serve_app.access import api_key
from serve_app.access.api_key import KeyText

KEY = api_key.generate()


def test_a_key_is_recognised_by_its_form() -> None:
    """Secret scanners know such keys by this pattern: it must not change."""
    assert re.fullmatch(r"stemserve_[a-z0-9]{12}_[A-Za-z0-9]{49}", KEY.text)
    assert KEY.text.startswith(f"stemserve_{KEY.id}_")


def test_a_key_is_read_as_it_was_made() -> None:
    for _ in range(100):
        key = api_key.generate()
        assert api_key.parsed(key.text) == key


def test_no_two_keys_are_equal() -> None:
    keys = [api_key.generate() for _ in range(1_000)]
    assert len({key.id for key in keys}) == 1_000
    assert len({key.text for key in keys}) == 1_000
    # 43 characters of 62 are more than 256 bits; each character must be in use.
    assert {*"".join(key.text[23:66] for key in keys)} == {
        *string.ascii_letters,
        *string.digits,
    }


@pytest.mark.parametrize("position", range(len("stemserve_"), len(KEY.text)))
def test_every_wrong_character_is_found_without_the_database(position: int) -> None:
    for wrong in "a", "B", "7", " ", "-", "\u0430", "\uff19":
        text = KEY.text[:position] + wrong + KEY.text[position + 1 :]
        assert (api_key.parsed(text) is None) is (text != KEY.text)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "a",
        lambda text: text + "\n",
        lambda text: f" {text}",
        lambda text: text.upper(),
        lambda text: text.removeprefix("stemserve_"),
        lambda text: text[:30] + text[31] + text[30] + text[32:],
        lambda text: "",
        lambda text: "stemserve_",
    ],
)
def test_what_is_not_a_whole_key_is_none(change: object) -> None:
    # Of two equal neighbours an exchange makes no difference.
    key = KeyText("a" * 12, "")
    while not key.text or key.text[30] == key.text[31]:
        key = api_key.generate()
    assert callable(change)
    assert api_key.parsed(change(key.text)) is None


def test_a_log_line_does_not_show_the_secret() -> None:
    assert KEY.text[23:] not in f"{KEY} {KEY!r} {[KEY]}"


def test_the_digest_needs_the_servers_secret() -> None:
    digest = api_key.digest(KEY, b"one")
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert digest == api_key.digest(KEY, b"one")
    assert digest != api_key.digest(KEY, b"two")
    assert digest != api_key.digest(api_key.generate(), b"one")
    assert KEY.text[23:66] not in digest
