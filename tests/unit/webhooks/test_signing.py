"""Signatures are those of Standard Webhooks, and nobody else's are taken."""

import hashlib
import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.webhooks import signing

# The example that the libraries of Standard Webhooks are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published one
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
MOMENT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEY = signing.key_of(SECRET)
OTHER = b"another key of 24 bytes."


def signed(*keys: bytes) -> dict[str, str]:
    return signing.headers(keys, MESSAGE_ID, BODY, MOMENT)


def test_the_published_example_is_signed_as_it_should_be() -> None:
    assert signed(KEY) == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


@given(
    st.binary(min_size=24, max_size=64),
    st.binary(max_size=200),
    st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1)),
)
def test_a_signature_is_the_hmac_of_id_timestamp_and_body(
    key: bytes, body: bytes, moment: datetime
) -> None:
    moment = moment.replace(tzinfo=UTC)
    headers = signing.headers([key], "msg_1", body, moment)
    text = b"msg_1." + str(int(moment.timestamp())).encode() + b"." + body
    digest = hmac.new(key, text, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + b64encode(digest).decode()
    signing.verify([key], headers, body, moment)


def test_while_secrets_change_either_is_enough() -> None:
    headers = signed(OTHER, KEY)
    assert headers["webhook-signature"].split()[1] == SIGNATURE
    for key in (KEY, OTHER):
        signing.verify([key], headers, BODY, MOMENT)
    signing.verify([OTHER, KEY], signed(KEY), BODY, MOMENT)


def test_signatures_of_other_schemes_are_passed_over() -> None:
    headers = {**signed(KEY), "webhook-signature": f"v1a,abc {SIGNATURE} v2,é"}
    signing.verify([KEY], headers, BODY, MOMENT)


def test_names_of_headers_may_have_any_case() -> None:
    headers = {name.upper(): value for name, value in signed(KEY).items()}
    signing.verify([KEY], headers, BODY, MOMENT)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"webhook-signature": ""}, "no webhook-signature"),
        ({"webhook-id": ""}, "no webhook-id"),
        ({"webhook-timestamp": "soon"}, "must be a number of seconds, got .soon."),
        ({"webhook-timestamp": "9" * 400}, "more than 300 s"),
        ({"webhook-timestamp": "1614265331"}, "not signed"),
        ({"webhook-id": "msg_other"}, "not signed"),
        ({"webhook-signature": SIGNATURE.removeprefix("v1,")}, "not signed"),
        ({"webhook-signature": SIGNATURE.replace("v1,", "v2,")}, "not signed"),
        ({"webhook-signature": SIGNATURE[:-2]}, "not signed"),
    ],
)
def test_what_was_changed_is_not_taken(change: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        signing.verify([KEY], {**signed(KEY), **change}, BODY, MOMENT)


def test_another_body_or_another_key_is_not_taken() -> None:
    with pytest.raises(ValueError, match="not signed"):
        signing.verify([KEY], signed(KEY), BODY + b" ", MOMENT)
    with pytest.raises(ValueError, match="not signed"):
        signing.verify([OTHER], signed(KEY), BODY, MOMENT)
    with pytest.raises(ValueError, match="not signed"):
        signing.verify([], signed(KEY), BODY, MOMENT)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_message_is_taken_for_five_minutes(seconds: int) -> None:
    moment = MOMENT + timedelta(seconds=seconds)
    signing.verify([KEY], signed(KEY), BODY, moment)
    with pytest.raises(ValueError, match="more than 300 s from now"):
        signing.verify([KEY], signed(KEY), BODY, moment + (moment - MOMENT) / 300)


def test_new_secrets_are_secrets_and_no_two_the_same() -> None:
    secrets = {signing.new_secret() for _ in range(10)}
    assert len(secrets) == 10
    assert all(len(signing.key_of(secret)) == 24 for secret in secrets)


@pytest.mark.parametrize("length", [24, 64])
def test_a_secret_has_24_to_64_bytes(length: int) -> None:
    key = bytes(range(length))
    assert signing.key_of("whsec_" + b64encode(key).decode()) == key


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "hunter2",
        SECRET.removeprefix("whsec_"),
        SECRET + "!",
        SECRET[:-1],
        "whsec_" + b64encode(bytes(23)).decode(),
        "whsec_" + b64encode(bytes(65)).decode(),
        "whsec_é" + SECRET,
    ],
)
def test_what_is_no_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ followed by 24 to 64 bytes") as caught:
        signing.key_of(secret)
    assert "hunter2" not in str(caught.value)
