"""Messages lead to the service by its public URL, or not at all."""

import asyncio
import json
from typing import Any

import pytest

from serve_app.webhooks.message import rendered
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.target import Webhook
from tests.jobs import ManualClock, SongStore, new_job
from tests.unit.webhooks.receiver import Receiver
from tests.unit.webhooks.test_sender import QUICK, ended, has_log, only, send, until
from tests.unit.webhooks.test_sender import sending as sender_of

BASE = "https://stems.example/songs"


def stems(job: dict[str, Any]) -> dict[str, str | None]:
    return {name: stem["download_url"] for name, stem in job["stems"].items()}


@pytest.mark.parametrize(
    ("base", "url"), [(BASE, f"{BASE}/job/a/stems/drums"), ("", None)]
)
def test_a_message_has_absolute_urls_or_null(
    store: SongStore,
    outbox: Outbox,
    clock: ManualClock,
    receiver: Receiver,
    base: str,
    url: str | None,
) -> None:
    ended(store, receiver.url, "a")
    send(outbox, clock, public_url=base)
    job = json.loads(receiver.received[0].body)["data"]
    assert stems(job)["drums"] == url
    # A null is sent, not left out.
    assert all("download_url" in stem for stem in job["stems"].values())
    assert job.get("hf_space_url") == (base or None)


def test_a_replay_leads_to_where_the_service_is_now(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    ended(store, receiver.url, "a")
    send(outbox, clock)
    outbox.replay("a", only(outbox).id)

    async def work() -> None:
        async with sender_of(outbox, clock, public_url=BASE):
            await until(has_log(outbox, 2))

    asyncio.run(work())
    first, again = (json.loads(request.body)["data"] for request in receiver.received)
    assert stems(first)["drums"] is None
    assert stems(again)["drums"] == f"{BASE}/job/a/stems/drums"


def test_what_has_no_stems_is_sent_as_it_is(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    store.add(new_job("a", webhook=Webhook(receiver.url)))
    store.cancel("a")
    send(outbox, clock, policy=QUICK)
    assert receiver.received[0].body.decode() == only(outbox).body


@pytest.mark.parametrize("name", ["노래.wav", 'a "b".wav', "\u2028.wav", "1e400.wav"])
def test_nothing_else_of_a_message_is_changed(name: str) -> None:
    message = {
        "type": "job.completed",
        "data": {
            "filename": name,
            "gain": 0.1,
            "stems": {"vocals": {"download_url": "/job/a/stems/vocals", "size": 1}},
        },
    }
    sent = json.loads(rendered(json.dumps(message), ""))
    assert sent["data"]["stems"]["vocals"].pop("download_url") is None
    assert sent["data"]["stems"] == {"vocals": {"size": 1}}
    del sent["data"]["stems"], message["data"]["stems"]  # type: ignore[attr-defined]
    assert sent == message


NESTED = {
    "type": "echo.succeeded",
    "data": {
        "echo_url": "/echo/a",
        "pages": [{"page_url": "/page/1"}, [{"page_url": "/page/2"}], "/page/3"],
        "from_url": "https://elsewhere.example/song",
        "empty_url": "",
        "none_url": None,
        "many_url": ["/not/a/field"],
        "path": "/echo/a",
        "url": "/echo/a",
    },
    "self_url": "/message",
}


@pytest.mark.parametrize("base", [BASE, ""])
def test_urls_are_absolute_however_deep_they_lie_in_a_message(base: str) -> None:
    def absolute(path: str) -> str | None:
        return f"{base}{path}" if base else None

    sent = json.loads(rendered(json.dumps(NESTED), base))
    assert sent == {
        "type": "echo.succeeded",
        "data": {
            "echo_url": absolute("/echo/a"),
            "pages": [
                {"page_url": absolute("/page/1")},
                [{"page_url": absolute("/page/2")}],
                "/page/3",
            ],
            # What is none of our paths is left as it is.
            "from_url": "https://elsewhere.example/song",
            "empty_url": "",
            "none_url": None,
            "many_url": ["/not/a/field"],
            "path": "/echo/a",
            "url": "/echo/a",
            **({"hf_space_url": base} if base else {}),
        },
        "self_url": absolute("/message"),
    }


@pytest.mark.parametrize("data", ["text", None, [1], 5])
def test_a_message_may_have_data_of_any_kind(data: object) -> None:
    message = {"type": "echo.succeeded", "data": data}
    assert json.loads(rendered(json.dumps(message), BASE)) == message


def test_a_message_without_data_may_be() -> None:
    assert json.loads(rendered('{"type":"echo.ended"}', BASE)) == {"type": "echo.ended"}


@pytest.mark.parametrize(
    "body", ["", "It is done.", "/echo/a", '"/echo/a"', "1e2", "null", "true", "{it}"]
)
@pytest.mark.parametrize("base", [BASE, ""])
def test_a_body_without_fields_is_sent_as_it_is(body: str, base: str) -> None:
    assert rendered(body, base) == body


def test_a_body_may_be_a_list() -> None:
    sent = json.loads(rendered('[{"echo_url": "/echo/a"}, "/echo/b", 1]', BASE))
    assert sent == [{"echo_url": f"{BASE}/echo/a"}, "/echo/b", 1]
