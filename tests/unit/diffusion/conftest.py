"""Tiny models in directories, and engines that were loaded from them."""

from pathlib import Path

import pytest
import torch

from serve_app.diffusion import tiny
from serve_app.diffusion.engine import DiffusersEngine
from serve_app.diffusion.loading import load
from serve_app.diffusion.options import ModelOptions
from tests.unit.diffusion import pipelines


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sd_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "sd"
    tiny.stable_diffusion().save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def xl_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "xl"
    tiny.stable_diffusion_xl().save_pretrained(directory)
    return directory


@pytest.fixture(scope="session", params=["sd", "xl"])
def directory(
    request: pytest.FixtureRequest, sd_directory: Path, xl_directory: Path
) -> Path:
    return sd_directory if request.param == "sd" else xl_directory


@pytest.fixture(scope="session")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a LoRA for the tiny Stable Diffusion."""
    return pipelines.save_lora(tmp_path_factory.mktemp("models") / "lcm-lora")


@pytest.fixture(scope="session")
def engine(sd_directory: Path) -> DiffusersEngine:
    return load(options(sd_directory))


def options(directory: Path, **changed: object) -> ModelOptions:
    """Return options for a CPU, in fp32 unless `changed` says otherwise."""
    given = {"precision": "fp32", "device": "cpu", "threads": 1, **changed}
    return ModelOptions(str(directory), **given)  # type: ignore[arg-type]
