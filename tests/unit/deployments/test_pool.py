"""The options of a deployment, from its section in a config."""

from deployments.pool import Autoscaling, Pool


def test_a_pool_without_gpus_sees_none() -> None:
    options = Pool(env={"A": "b"}).options()
    variables = options["ray_actor_options"]["runtime_env"]["env_vars"]
    assert variables == {"CUDA_VISIBLE_DEVICES": "", "A": "b"}


def test_a_pool_with_a_gpu_share_keeps_its_view_of_it() -> None:
    options = Pool(num_gpus=0.5).options()
    assert options["ray_actor_options"]["runtime_env"]["env_vars"] == {}


def test_an_autoscaled_pool_has_no_fixed_size() -> None:
    options = Pool(autoscaling=Autoscaling(max_replicas=4)).options()
    assert "num_replicas" not in options
    assert options["autoscaling_config"]["max_replicas"] == 4
