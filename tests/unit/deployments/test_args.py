"""A config that is misspelt is refused, not half obeyed."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from deployments.__main__ import read_args
from deployments.args import AppArgs, Autoscaling, Pool

ROOT = Path(__file__).parents[3]
CONFIGS = [ROOT / "serve_config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_in_the_repository_is_valid(path: Path) -> None:
    ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    args = read_args(path)
    assert args.resolved_settings().max_attempts > 0


@pytest.mark.parametrize(
    "args",
    [
        {"separater": {}},
        {"separator": {"num_gpu": 1}},
        {"separator": {"num_cpus": -1}},
        {"separator": {"autoscaling": {"max_replica": 2}}},
    ],
)
def test_a_typo_is_refused(args: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AppArgs.model_validate(args)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValidationError):
        AppArgs(settings={"max_upload_byte": 1}).resolved_settings()


def test_operators_pin_their_model_and_laptops_take_what_they_get() -> None:
    pinned = read_args(ROOT / "serve_config.yaml").resolved_settings().model
    assert pinned == "hdemucs_high_musdb_plus"
    local = read_args(ROOT / "configs" / "local.yaml").resolved_settings().model
    assert local == "auto"


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


@pytest.mark.parametrize("text", ["", "applications: []", "applications: [{}, {}]"])
def test_a_config_without_exactly_one_application_is_refused(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="exactly one"):
        read_args(path)
