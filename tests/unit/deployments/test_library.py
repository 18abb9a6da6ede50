"""The library runs where it is configured, and nowhere else."""

import pytest

from deployments.args import AppArgs, checked

QUEUE = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/tasks"


def test_it_runs_beside_stems_where_its_queue_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SQS_QUEUE_URL", QUEUE)
    assert set(checked({}).made()) == {"stems", "library"}
    assert set(checked({"separator": {"num_cpus": 1}}).made()) == {"stems", "library"}
    assert set(checked({"systems": {"stems": {}}}).made()) == {"stems"}


def test_it_does_not_run_by_itself() -> None:
    assert set(AppArgs().made()) == {"stems"}
    settings = {"library_queue_url": QUEUE, "library_webhook_url": "https://a.example"}
    assert set(checked({"settings": settings}).made()) == {"stems", "library"}
    assert set(checked({"systems": {"library": {}}}).made()) == {"library"}
