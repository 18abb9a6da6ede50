"""The kind of job that analyses a song."""

import json
from typing import Any

import pytest

from serve_app.jobs.job import State
from serve_app.jobs.kind import Rules
from serve_app.stems.analysis_jobs.kind import FOLDER, song_analysis, song_key
from serve_app.stems.analysis_jobs.request import (
    AnalysisJob,
    AnalysisRequest,
    AnalysisResult,
)
from serve_app.stems.kind import END_EVENTS, FOLDERS
from serve_app.usage.used import JobUsage
from serve_app.webhooks.message import WEBHOOK
from serve_app.webhooks.target import Webhook, WebhookEvent
from tests.jobs import NOON, new_job

KIND = song_analysis(Rules())
URL = "https://example.com/hook"
REPORT = {"bpm": 124.0, "key": "C# minor", "grid": None, "beats": [0.5, 1.0]}


def analysis_job(webhook: Webhook | None = None, **changes: Any) -> AnalysisJob:
    source = new_job("a").request.source
    job = AnalysisJob(
        "a",
        AnalysisRequest(source, (88.0, 175.0), webhook),
        State.QUEUED,
        created_at=NOON,
        updated_at=NOON,
    )
    return job.evolve(**changes)


def test_an_analysis_is_charged_its_length_and_keeps_no_file() -> None:
    job = analysis_job(audio_seconds=180.0, result=AnalysisResult(REPORT))
    assert KIND.usage(job) == JobUsage(180.0, bytes_in=4_000_000)
    assert KIND.stored_bytes(job) == 0


def test_no_file_of_an_analysis_lies_where_the_version_before_sweeps() -> None:
    assert song_key("a").startswith(f"{FOLDER}/a/")
    assert set(KIND.folders) == set(KIND.working_folders) == {FOLDER}
    assert FOLDER not in FOLDERS


@pytest.mark.parametrize("state", State)
def test_the_song_is_wanted_until_the_job_has_ended(state: State) -> None:
    job = analysis_job(state=state)
    assert KIND.is_wanted(job, song_key("a")) is not state.is_final


@pytest.mark.parametrize(("state", "event"), END_EVENTS.items())
def test_the_client_is_told_of_the_end_if_it_wants_to_be(
    state: State, event: WebhookEvent
) -> None:
    result = AnalysisResult(REPORT) if state is State.SUCCEEDED else None
    ended = {"state": state, "result": result, "error": "Broken."}
    [message] = KIND.messages(analysis_job(Webhook(URL), **ended), NOON)
    assert (message.channel, message.target, message.job_id) == (WEBHOOK, URL, "a")
    body = json.loads(message.body)
    data = body["data"]
    assert (body["type"], data["job_id"]) == (event, "a")
    # A path: the sender makes it absolute.
    assert data["status_url"] == "/analyze/a"
    assert data.get("error") == ("Broken." if state is State.FAILED else None)
    if state is State.SUCCEEDED:
        assert (data["analysis"]["bpm"], data["analysis"]["grid"]) == (124.0, None)
    others = tuple(each for each in WebhookEvent if each is not event)
    for webhook in (None, Webhook(URL, others)):
        assert KIND.messages(analysis_job(webhook, **ended), NOON) == ()
