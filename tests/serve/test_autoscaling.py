"""Separators follow the queued audio, up and down, and no job is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray import serve

from deployments.args import AppArgs
from tests import media
from tests.serve.application import running
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.service import STEMS, Service, wait_for

SONGS = 5
SONG_SECONDS = 120.0


@pytest.fixture
def scaled(cluster: int, tmp_path: Path) -> Iterator[Service]:
    """Run one to two Separators, which are to be done with songs in four seconds."""
    # By its requests the pool would never grow.
    limits = {"max_replicas": 2, "goal_s": 4.0, "target_ongoing_requests": 100}
    delays = {"upscale_delay_s": 0.0, "downscale_delay_s": 3.0}
    args = AppArgs(
        settings={
            "data_dir": tmp_path / "data",
            "model": "demo",
            "threads": 1,
            "lease_seconds": LEASE_SECONDS,
        },
        systems={"stems": {"separator": {"autoscaling": {**limits, **delays}}}},
    )
    with running(cluster, args, tmp_path / "data") as service:
        yield service


def separators() -> int:
    """Return how many Separators run."""
    found = serve.status().applications["stemserve"].deployments["Separator"]
    return found.replica_states.get("RUNNING", 0)


@pytest.mark.timeout(240)
def test_separators_come_and_go_with_the_queued_audio(
    scaled: Service, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=SONG_SECONDS, sample_rate=22_050)
    assert separators() == 1
    job_ids = [scaled.submit(song) for _ in range(SONGS)]
    wait_for(lambda: separators() == 2, 60)
    ended = [scaled.wait(job_id) for job_id in job_ids]
    assert [job["status"] for job in ended] == ["completed"] * SONGS
    assert all(set(job["stems"]) == set(STEMS) for job in ended)
    wait_for(lambda: separators() == 1, 60)
