"""The simulation loses no song, charges for all time, and shows what policies cost."""

import numpy as np
import pytest

from benchmarks import autoscaling
from benchmarks.autoscaling import MAKERS, OURS, tried
from benchmarks.scaling_model import Outcome, Pool, Simulation, View
from benchmarks.scaling_policies import Knobs
from benchmarks.scaling_traces import PATTERNS, Trace, trace

HOUR = 3600.0
POOL = Pool(speed=10.0, places=2, start_seconds=(50.0, 50.0))


def songs(*given: tuple[float, float]) -> Trace:
    """Return a trace of songs: when they arrive, and their audio seconds."""
    at, audio_seconds = np.array(given).T
    return Trace("given", at, audio_seconds, HOUR)


def run(given: Trace, pool: Pool = POOL, replicas: int = 1) -> Outcome:
    """Simulate a fixed number of replicas."""
    return Simulation(given, pool, lambda _: replicas).run()


def test_a_song_alone_waits_only_for_the_start() -> None:
    late = run(songs((20.0, 300.0)))
    assert late.delays_seconds == pytest.approx([30.0])
    assert late.replica_seconds == pytest.approx(HOUR)
    assert late.work_seconds == pytest.approx(30.0)


def test_songs_of_a_replica_share_its_speed_and_others_wait_for_a_place() -> None:
    found = run(songs((100.0, 100.0), (100.0, 200.0), (100.0, 100.0)))
    # Two share 20 s until the first is done; the third begins then, and shares as well.
    assert sorted(found.delays_seconds) == pytest.approx([10.0, 20.0, 30.0])


def test_replicas_work_in_parallel() -> None:
    found = run(songs((100.0, 100.0), (100.0, 100.0)), replicas=2)
    assert found.delays_seconds == pytest.approx([0.0, 0.0])


def test_a_replica_that_is_stopped_finishes_its_songs_and_is_charged_for_it() -> None:
    given = songs((100.0, 100.0), (100.0, 900.0))

    def policy(view: View) -> int:
        return 2 if view.now < 110 else 1

    found = Simulation(given, POOL, policy).run()
    assert found.lost == 0
    assert found.replica_seconds > HOUR
    assert found.stops == 1


def test_failed_replicas_lose_no_song() -> None:
    fragile = Pool(speed=10.0, fails_after_seconds=200.0, start_seconds=(5.0, 5.0))
    given = trace("steady", 2.0, fragile.speed, HOUR)
    found = run(given, fragile, replicas=6)
    assert found.starts > 20
    assert found.lost == 0


@pytest.mark.parametrize("policy", MAKERS)
def test_no_policy_costs_less_than_the_work(policy: str) -> None:
    pool = Pool()
    given = trace("bursty", 2.0, pool.speed, HOUR)
    found = tried(given, pool, policy, Knobs(1.0, 0.0, 60.0, 1))
    assert found.cost >= 1
    assert 0 <= found.p50_seconds <= found.p99_seconds


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_trace_has_the_load_that_was_asked_for(pattern: str) -> None:
    given = trace(pattern, 5.0, 40.0, 12 * HOUR)
    assert np.all(np.diff(given.arrives_at) >= 0)
    load = given.audio_seconds.sum() / 40.0 / given.seconds
    assert load == pytest.approx(5.0, rel=0.1)


def test_the_page_has_the_cheapest_setting_within_the_limit() -> None:
    found = [
        autoscaling.Tried(name, policy, Knobs(target, 0, 60), cost, 1.0, p99, 0.0)
        for name in PATTERNS
        for policy in MAKERS
        for target, cost, p99 in ((1, 3.0, 10.0), (2, 2.0, 59.0), (3, 1.0, 61.0))
    ]
    for best in (autoscaling.by_trace(found, 60.0), autoscaling.in_all(found, 60.0)):
        assert {one.cost for row in best.values() for one in row.values()} == {2.0}
    assert autoscaling.ratio(best["steady"]) == 1.0
    assert OURS in autoscaling.table(best)
