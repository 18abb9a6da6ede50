"""Objects have the names that the archive's first version gave them."""

import pytest

from serve_app.archive.identity import Identity, object_key, object_key_of


def test_the_contracts_example() -> None:
    episode = Identity(1234, 5, "example", "720p")
    name = "4afa2780216896d6353754b17cddde5c"
    assert object_key(episode, "test-salt") == f"1234/ep5/{name}.mp4"


def test_no_resolution_is_unknown() -> None:
    known = Identity(1, 2, "a", "unknown")
    assert Identity(1, 2, "a").key == known.key
    assert object_key(Identity(1, 2, "a"), "s") == object_key(known, "s")


@pytest.mark.parametrize("key", ["x", "a/../b", "ü" * 1000])
def test_other_keys_have_names_of_plain_characters(key: str) -> None:
    found = object_key_of(key, "salt", "mp3")
    assert found.startswith("media/")
    assert found.endswith(".mp3")
    assert found != object_key_of(key, "other", "mp3")
    assert found.isascii()
