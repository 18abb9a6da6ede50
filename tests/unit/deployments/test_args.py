"""A config that is misspelt is refused, not half obeyed."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from deployments.args import AppArgs, Autoscaling, Pool
from deployments.config import read_args
from serve_app.settings.check import WrongSettings

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
    with pytest.raises(WrongSettings, match="Did you mean max_upload_bytes"):
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


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("{separater: {}}", "no `separater`. Did you mean `separator`"),
        ("{separator: {num_gpu: 1}}", "no `separator.num_gpu`. Did you mean"),
        ("{api: {num_cpus: -1}}", "`api.num_cpus` is -1"),
        ("{settings: {modle: demo}}", "settings.modle in the config"),
        ("{settings: {threads: many}}", "settings.threads in the config=many must be"),
        ("[1]", "`args` must be a mapping"),
    ],
)
def test_a_wrong_config_is_explained_in_lines(
    tmp_path: Path, args: str, words: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"applications: [{{args: {args}}}]")
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        read_args(path)
    assert "pydantic" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_what_a_config_does_not_say_of_a_pool_stays_as_it_was(path: Path) -> None:
    args, default = read_args(path), AppArgs()
    assert args.api.max_ongoing_requests == default.api.max_ongoing_requests
    assert args.separator.env == default.separator.env
    assert args.analyzer.env == default.analyzer.env
    for name in ("api", "dispatcher", "separator", "analyzer"):
        mine, its = getattr(args, name), getattr(default, name)
        assert mine.graceful_shutdown_timeout_s == its.graceful_shutdown_timeout_s


def test_what_a_config_says_of_a_pool_counts() -> None:
    args = AppArgs.model_validate({"analyzer": {"num_cpus": 2, "env": {"A": "b"}}})
    assert args.analyzer.num_cpus == 2
    assert args.analyzer.env == {**AppArgs().analyzer.env, "A": "b"}
    assert args.analyzer.max_ongoing_requests == 4
