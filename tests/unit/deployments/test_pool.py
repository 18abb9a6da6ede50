"""The options of a deployment, from its section in a config."""

from deployments.api import RequestLimits, limits
from deployments.args import AppArgs
from deployments.pool import Autoscaling, Pool
from deployments.stems import StemsArgs
from serve_app.settings import Settings

# Proxies have another one; see `deployments/router_loop.py`.
LOOP = {"RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "1"}


def test_a_pool_without_gpus_sees_none() -> None:
    options = Pool(env={"A": "b"}).options()
    variables = options["ray_actor_options"]["runtime_env"]["env_vars"]
    assert variables == {"CUDA_VISIBLE_DEVICES": "", **LOOP, "A": "b"}


def test_a_pool_with_a_gpu_share_keeps_its_view_of_it() -> None:
    options = Pool(num_gpus=0.5).options()
    assert options["ray_actor_options"]["runtime_env"]["env_vars"] == LOOP


def test_an_update_starts_one_more_api_before_it_stops_one() -> None:
    """Of one and of a few; a GPU has no room for another Separator."""
    args, stems = AppArgs(), StemsArgs()
    for pool in (args.api, args.dispatcher):
        surge = pool.options()["max_surge_percent"]
        # As Serve rounds it.
        assert [(surge * count + 99) // 100 for count in (1, 2, 4, 5)] == [1, 1, 1, 2]
    assert stems.separator.options()["max_surge_percent"] == 0


def test_streams_end_before_their_replica_is_killed() -> None:
    """Also where Serve does not tell it, and a shorter time is configured."""
    settings = Settings(stream_seconds=90)
    assert limits(settings, AppArgs().api).stream_seconds == 90
    assert AppArgs().api.graceful_shutdown_timeout_s > 90
    short = Pool(graceful_shutdown_timeout_s=20, max_ongoing_requests=7)
    assert limits(settings, short) == RequestLimits(7, 20)
    assert limits(settings, Pool(graceful_shutdown_timeout_s=0)).stream_seconds == 90


def test_an_analysis_may_take_as_long_as_the_request_that_waits_for_it() -> None:
    analyzer = StemsArgs().analyzer.graceful_shutdown_timeout_s
    assert analyzer >= AppArgs().api.graceful_shutdown_timeout_s


def test_an_autoscaled_pool_has_no_fixed_size() -> None:
    options = Pool(autoscaling=Autoscaling(max_replicas=4)).options()
    assert "num_replicas" not in options
    assert options["autoscaling_config"]["max_replicas"] == 4
