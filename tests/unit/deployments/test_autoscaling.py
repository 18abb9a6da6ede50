"""Policies return what dispatchers report, and Serve applies its delays to it."""

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError
from ray.cloudpickle import dumps, loads
from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from ray.serve.autoscaling_policy import _apply_autoscaling_config
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from deployments import demand, reported_demands
from deployments.args import AppArgs
from deployments.autoscaling import PREFIX, by_demand, of_dispatchers
from deployments.demand import Demand, Demands
from deployments.pool import Autoscaling, Pool, reporting
from serve_app.errors import Unavailable
from serve_app.scaling.speed import Speed
from tests.jobs import NOON

pytestmark = pytest.mark.anyio

NOW = 1_000_000.0
GOALS = {"min_replicas": 0, "max_replicas": 9, "goal_s": 30.0}


@pytest.fixture(autouse=True)
def no_reports() -> Iterator[None]:
    reported_demands._reports.clear()
    yield
    reported_demands._reports.clear()


def context(
    deployment: str = "Separator",
    replicas: int = 1,
    requests: float = 0.0,
    metrics: Mapping[str, Any] | None = None,
    now: float = NOW,
    state: Mapping[str, Any] = {},
    **options: Any,
) -> AutoscalingContext:
    """Return what Serve tells a policy."""
    config = AutoscalingConfig(**Autoscaling(**{**GOALS, **options}).options())
    return AutoscalingContext(
        deployment_id=DeploymentID(deployment, "stemserve"),
        deployment_name=deployment,
        app_name="stemserve",
        current_num_replicas=replicas,
        target_num_replicas=replicas,
        running_replicas=[],
        total_num_requests=requests,
        total_queued_requests=0.0,
        aggregated_metrics={},
        raw_metrics=metrics,
        capacity_adjusted_min_replicas=config.min_replicas,
        capacity_adjusted_max_replicas=config.max_replicas,
        policy_state=dict(state),
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=now,
        config=config,
    )


def reports(*values: float, deployment: str = "Separator") -> Mapping[str, Any]:
    """Return the metrics of dispatchers, each a second older than the one before."""
    owner = DeploymentID("DispatcherReplica", "stemserve")
    series = {
        ReplicaID(str(number), owner): [
            TimeStampedValue(NOW - 100, 77.0),
            TimeStampedValue(NOW - number, value),
        ]
        for number, value in enumerate(values)
    }
    return {PREFIX + deployment: series, "ray's own": series}


def test_the_replicas_are_those_that_the_newest_report_asks_for() -> None:
    before = context("DispatcherReplica", replicas=2, metrics=reports(3.4, 2.0))
    assert of_dispatchers(before) == (2, {})
    assert by_demand(context()) == (3.4, {})


def test_two_dispatchers_do_not_count_a_queue_twice() -> None:
    of_dispatchers(context("DispatcherReplica", metrics=reports(2.0, 2.0)))
    assert by_demand(context())[0] == 2.0


def test_other_applications_and_deployments_have_their_own() -> None:
    reported_demands.keep("another", "Separator", NOW, 5.0)
    of_dispatchers(context("D", metrics=reports(2.0, deployment="Analyzer")))
    assert by_demand(context(requests=6.0))[0] == 2.0  # 6 requests, 3 a replica


@pytest.mark.parametrize("metrics", [None, {}, reports()])
def test_without_a_report_the_replicas_follow_the_requests(metrics: Any) -> None:
    of_dispatchers(context("DispatcherReplica", metrics=metrics))
    assert by_demand(context(replicas=2, requests=12.0))[0] == 4.0


def test_replicas_stand_by_for_what_jobs_usually_need() -> None:
    for seconds in range(0, 1_800, 10):
        reported_demands.keep("stemserve", "Separator", NOW - 1_800 + seconds, 4.0)
    reported_demands.keep("stemserve", "Separator", NOW, 0.5)
    assert by_demand(context())[0] == pytest.approx(5.0)
    reported_demands.keep("stemserve", "Separator", NOW, 7.0)
    assert by_demand(context())[0] == 7.0


def test_an_old_report_does_not_count() -> None:
    of_dispatchers(context("DispatcherReplica", metrics=reports(9.0)))
    late = context(requests=3.0, now=NOW + 91)
    assert by_demand(late)[0] == 1.0


def test_serve_applies_its_delays_and_rounds_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy, state, now = _apply_autoscaling_config(by_demand), {}, NOW
    monkeypatch.setattr("ray.serve.autoscaling_policy.time.time", lambda: now)
    decided = []
    for at, replicas, needed in (
        *((0, 1, 2.1), (6, 1, 2.1)),  # up after upscale_delay_s, 5
        *((10, 3, 1.2), (200, 3, 1.2), (311, 3, 1.4)),  # down after 300 s
    ):
        now = NOW + at
        reported_demands.keep("stemserve", "Separator", now, needed)
        number, state = policy(context(replicas=replicas, now=now, state=state))
        decided.append(number)
    assert decided == [1, 3, 3, 3, 2]


def test_both_policies_share_the_reports_though_serve_pickles_them_by_value() -> None:
    options = Autoscaling(**GOALS).options()["policy"]
    pickled = [
        AutoscalingPolicy(policy_function=name).get_serialized_policy_def()
        for name in (
            options["policy_function"],
            "deployments.autoscaling:of_dispatchers",
        )
    ]
    asking, keeping = (loads(one) for one in pickled)
    assert asking is not by_demand
    keeping(context("D", metrics=reports(4.0)))
    assert asking(context())[0] == 4.0
    assert loads(dumps(by_demand)) is by_demand


def test_a_pool_without_a_goal_has_serves_own_policy() -> None:
    pool = Pool(autoscaling=Autoscaling(max_replicas=3))
    config = AutoscalingConfig(**pool.options()["autoscaling_config"])
    assert config.policy.is_default_policy_function()


def test_dispatchers_keep_their_number() -> None:
    config = AutoscalingConfig(
        **reporting(Pool(num_replicas=2).options())["autoscaling_config"]
    )
    assert (config.min_replicas, config.max_replicas) == (2, 2)


@pytest.mark.parametrize("pool", ["api", "dispatcher", "analyzer"])
def test_pools_without_queued_jobs_refuse_a_goal(pool: str) -> None:
    with pytest.raises(ValidationError, match="target_ongoing_requests"):
        AppArgs.model_validate({pool: {"autoscaling": GOALS}}).made()


@pytest.mark.parametrize(("goal", "has_goals"), [({}, False), ({"goal_s": 9}, True)])
def test_dispatchers_report_only_if_a_pool_has_a_goal(
    goal: dict[str, float], has_goals: bool
) -> None:
    limits = {"max_replicas": 3, **goal}
    args = AppArgs.model_validate({"separator": {"autoscaling": limits}})
    assert args.has_goals is has_goals


class Work:
    """A store of 1200 s of audio, whose usual speed is `speed`."""

    def __init__(self, speed: float | None = None, fails: bool = False) -> None:
        self._speed, self._fails = speed, fails

    def usual_speed(self, now: datetime) -> float | None:
        return self._speed

    def demand(self, speed: float, goal_seconds: float) -> float:
        if self._fails:
            raise Unavailable("no database")
        return 1200.0 / (speed * goal_seconds)


def of(work: Any, *jobs: tuple[float, float]) -> Demand:
    """Return the demand of some work, after jobs of so much audio and device time."""
    speed = Speed()
    for audio_seconds, device_seconds in jobs:
        speed.add(audio_seconds, device_seconds)
    return Demand(work, speed, 30.0, lambda: NOON)


def test_the_speed_is_measured_or_the_usual_or_that_of_a_cpu() -> None:
    assert of(Work(20.0), (400.0, 10.0))() == pytest.approx(1.0)
    assert of(Work(20.0))() == pytest.approx(2.0)
    assert of(Work())() == pytest.approx(4.0)


async def test_a_dispatcher_reads_the_database_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, reads = [0.0], []

    def read() -> float:
        reads.append(1)
        return 1.5

    monkeypatch.setattr(demand, "monotonic", lambda: now[0])
    demands = Demands({"Separator": read})
    for now[0] in (0.0, 2.0, 4.0, 6.0):
        assert await demands.report() == {PREFIX + "Separator": 1.5}
    assert len(reads) == 2


async def test_without_a_database_nothing_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    demands = Demands({"Separator": of(Work(fails=True))})
    with caplog.at_level(logging.WARNING):
        assert await demands.report() == {}
    assert "no database" in caplog.text
