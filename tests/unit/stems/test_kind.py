"""The kind of job that separates songs."""

import json
from dataclasses import replace
from datetime import datetime

import pytest

from serve_app.jobs.job import State
from serve_app.stems.kind import separation
from serve_app.stems.request import Stage
from serve_app.usage.used import JobUsage
from serve_app.webhooks.message import WEBHOOK
from serve_app.webhooks.target import Webhook, WebhookEvent
from tests.jobs import NOON, RESULT, asking, new_job

KIND = separation()
URL = "https://example.com/hook"
ENDS = {
    State.SUCCEEDED: WebhookEvent.COMPLETED,
    State.FAILED: WebhookEvent.FAILED,
    State.CANCELLED: WebhookEvent.CANCELLED,
}


def test_a_song_is_charged_its_length_its_device_and_its_files() -> None:
    job = new_job(audio_seconds=180.0, result=replace(RESULT, device_seconds=2.5))
    assert KIND.usage(job) == JobUsage(180.0, 2.5, 4_000_000, 44)
    assert KIND.stored_bytes(job) == 4_000_044
    assert KIND.stored_bytes(new_job(state=State.FAILED)) == 4_000_000


def test_a_song_is_fetched_separated_and_uploaded() -> None:
    assert KIND.name == "separation"
    assert KIND.stages == (Stage.FETCH, Stage.SEPARATE, Stage.UPLOAD)


def test_what_is_deleted_with_a_job_is_below_its_folders() -> None:
    assert set(KIND.working_folders) < set(KIND.folders)
    assert {"originals", "uploads", "stems", "derived"} < set(KIND.folders)


@pytest.mark.parametrize(("state", "event"), ENDS.items())
def test_who_wants_to_hear_of_an_end_is_told_once(
    state: State, event: WebhookEvent
) -> None:
    result = RESULT if state is State.SUCCEEDED else None
    job = new_job("a", Webhook(URL), state=state, result=result)
    [message] = KIND.messages(job, NOON)
    assert (message.channel, message.target, message.job_id) == (WEBHOOK, URL, "a")
    assert (message.event, message.order_key) == (event, None)
    told = json.loads(message.body)
    assert (told["type"], told["data"]["job_id"]) == (event, "a")


@pytest.mark.parametrize(("state", "event"), ENDS.items())
def test_who_does_not_want_to_hear_of_an_end_is_not_told(
    state: State, event: WebhookEvent
) -> None:
    others = tuple(one for one in WebhookEvent if one is not event)
    for webhook in (None, Webhook(URL, others)):
        assert KIND.messages(new_job("a", webhook, state=state), NOON) == ()


def urls_of_stems(webhook: Webhook) -> list[str]:
    """Return the URLs in the message about a job of the tenant `acme`."""

    def sign(path: str, tenant: str, credential: str, until: datetime | None) -> str:
        return f"{path}?token={tenant}-{credential}-{until == NOON}"

    job = new_job("a", webhook, state=State.SUCCEEDED, result=RESULT, tenant="acme")
    [message] = separation(sign=sign).messages(job.evolve(expires_at=NOON), NOON)
    stems = json.loads(message.body)["data"]["stems"].values()
    return [stem["download_url"] for stem in stems]


def test_a_receiver_without_credentials_gets_links_to_stems() -> None:
    urls = urls_of_stems(Webhook(URL, credential="key:abc"))
    assert urls
    assert all(url.endswith("?token=acme-key:abc-True") for url in urls)


def test_where_access_is_open_a_webhook_has_no_tokens() -> None:
    urls = urls_of_stems(Webhook(URL))
    assert urls
    assert not any("token" in url for url in urls)


@pytest.mark.parametrize("state", State)
def test_files_are_wanted_as_long_as_they_are_of_use(state: State) -> None:
    job = new_job("a", state=state, owner="me", attempt=2)
    has_stems = state in (State.RUNNING, State.SUCCEEDED)
    assert KIND.is_wanted(job, "stems/a/2/drums.wav") is has_stems
    assert not KIND.is_wanted(job, "stems/a/1/drums.wav")
    assert not KIND.is_wanted(job, "stems/a/22/drums.wav")
    assert KIND.is_wanted(job, "parts/a/demo-1/0.npy") is not state.is_final
    assert KIND.is_wanted(job, "originals/a")


def test_the_log_has_the_songs_name_and_length_and_who_made_its_stems() -> None:
    job = asking(new_job(), source=replace(new_job().request.source, filename="a.wav"))
    assert KIND.title(job) == "a.wav"
    assert KIND.log_fields(job) == {"duration": "180.0s"}
    made = {"duration": "180.0s", "model": "demo", "cache": "miss"}
    assert KIND.log_fields(job.evolve(result=RESULT)) == made
    hit = replace(RESULT, cache="hit")
    assert KIND.log_fields(job.evolve(result=hit)) == {**made, "cache": "hit"}
