"""Tokens of links: one path, one tenant, until a time."""

import base64
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from serve_app.access.links import Links
from serve_app.errors import Unauthorized
from tests.unit.server import Clock

SECRET = b"a secret of this server's own, of 32 bytes"
PATH = "/job/ab/stems/drums"
HOUR = 3600


def links(clock: Clock, secret: bytes = SECRET) -> Links:
    return Links(secret, clock, HOUR)


def token_of(target: str) -> str:
    (token,) = parse_qs(urlsplit(target).query)["token"]
    return token


def token(clock: Clock, path: str = PATH, secret: bytes = SECRET) -> str:
    link = links(clock, secret).signed(path, "acme", "key:k3x9m2p7q1z8")
    return token_of(link.target)


def test_a_link_grants_what_it_was_made_for() -> None:
    clock = Clock()
    grant = links(clock).opened(token(clock), PATH)
    assert (grant.tenant, grant.credential) == ("acme", "key:k3x9m2p7q1z8")
    assert clock.now < grant.expires_at


@pytest.mark.parametrize("minutes", [0, 1, 30, 59, 60, 61, 119, 601])
def test_a_link_is_valid_for_once_to_twice_its_time(minutes: int) -> None:
    clock = Clock()
    clock.move(minutes * 60)
    left = links(clock).signed(PATH, "acme", "admin").expires_at
    assert left is not None
    seconds = (left - clock.now).total_seconds()
    assert HOUR < seconds <= 2 * HOUR


def test_a_link_stays_the_same_while_a_job_is_polled() -> None:
    clock = Clock()
    first = token(clock)
    clock.move(HOUR - 1)
    assert token(clock) == first
    clock.move(1)
    assert token(clock) != first


def test_a_link_ends_no_later_than_it_must() -> None:
    clock = Clock()
    until = clock.now + timedelta(seconds=90.5)
    link = links(clock).signed(PATH, "acme", "admin", until)
    assert link.expires_at == clock.now + timedelta(seconds=90)
    clock.move(89)
    links(clock).opened(token_of(link.target), PATH)
    clock.move(1)
    with pytest.raises(Unauthorized, match="expired at 2026-11-20 12:01:30 UTC"):
        links(clock).opened(token_of(link.target), PATH)


@pytest.mark.parametrize(
    "other",
    ["/job/ab/stems/bass", "/job/ac/stems/drums", f"{PATH}/", f"/{PATH}", PATH.upper()],
)
def test_a_link_opens_its_own_path_only(other: str) -> None:
    clock = Clock()
    with pytest.raises(Unauthorized, match="for another path"):
        links(clock).opened(token(clock), other)


def test_the_query_of_a_link_is_free() -> None:
    clock = Clock()
    plain = links(clock).signed("/job/ab/waveform", "acme", "admin").target
    with_query = links(clock).signed("/job/ab/waveform?format=png", "acme", "admin")
    assert with_query.target.startswith("/job/ab/waveform?format=png&token=")
    assert token_of(with_query.target) == token_of(plain)
    empty = links(clock).signed("/job/ab/waveform?", "acme", "admin")
    assert empty.target == plain


def test_a_path_may_be_percent_encoded() -> None:
    clock = Clock()
    encoded = links(clock).signed("/job/ab/stems/%C3%BC", "acme", "admin").target
    assert links(clock).opened(token_of(encoded), "/job/ab/stems/ü").tenant == "acme"


def test_every_changed_bit_makes_a_token_invalid() -> None:
    clock = Clock()
    good = token(clock)
    content = base64.urlsafe_b64decode(good + "=" * (-len(good) % 4))
    for position in range(len(content) * 8):
        changed = bytearray(content)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(Unauthorized, match="not valid"):
            links(clock).opened(base64.urlsafe_b64encode(changed).decode(), PATH)


@pytest.mark.parametrize(
    "bad", ["", "a", "====", "é", "AAAA", "A" * 1_000_000, "..%2f", "a b", "\0"]
)
def test_no_text_but_a_token_opens_anything(bad: str) -> None:
    with pytest.raises(Unauthorized, match="not valid"):
        links(Clock()).opened(bad, PATH)


def test_the_token_of_another_server_opens_nothing() -> None:
    clock = Clock()
    other = token(clock, secret=b"the secret of another server")
    with pytest.raises(Unauthorized, match="not valid"):
        links(clock).opened(other, PATH)


def test_a_token_is_short_and_needs_no_escapes() -> None:
    good = token(Clock())
    assert len(good) < 100
    assert good.replace("-", "").replace("_", "").isalnum()
