"""The speed follows the jobs that ended last."""

import pytest

from serve_app.scaling.speed import Speed


def test_nothing_is_measured_before_a_job_has_ended() -> None:
    assert Speed().measured() is None


def test_the_speed_is_audio_over_device_time() -> None:
    speed = Speed()
    speed.add(200.0, 10.0)
    speed.add(100.0, 20.0)
    assert speed.measured() == pytest.approx(10.0)


def test_results_of_another_job_are_not_measured() -> None:
    speed = Speed()
    speed.add(200.0, 0.0)
    assert speed.measured() is None
    speed.add(200.0, 10.0)
    speed.add(500.0, 0.0)
    assert speed.measured() == pytest.approx(20.0)


def test_old_jobs_are_forgotten() -> None:
    speed = Speed()
    for _ in range(10):
        speed.add(100.0, 100.0)
    for _ in range(50):
        speed.add(100.0, 1.0)
    assert speed.measured() == pytest.approx(100.0)
