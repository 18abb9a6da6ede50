"""The image engine on a GPU: exactness, batches, cancelling, too little memory."""

import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")

from serve_app.diffusion import tiny
from serve_app.diffusion.batcher import Batcher
from serve_app.diffusion.engine import DiffusersEngine
from serve_app.diffusion.errors import OutOfDeviceMemory
from serve_app.diffusion.loading import load
from serve_app.diffusion.options import ModelOptions
from serve_app.diffusion.port import ImageRequest
from tests.unit.diffusion import pipelines


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "sd"
    tiny.stable_diffusion().save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def engine(directory: Path) -> DiffusersEngine:
    return load(ModelOptions(str(directory), precision="fp32", device="cuda"))


def _request(seed: int, **changed: object) -> ImageRequest:
    return ImageRequest("a cat", 64, 64, (seed,), **changed)  # type: ignore[arg-type]


def test_facts_name_the_device(engine: DiffusersEngine) -> None:
    assert engine.facts().device == "cuda"
    assert engine.facts().notes == ()


def test_fp16_is_chosen(directory: Path) -> None:
    facts = load(ModelOptions(str(directory), precision="auto", device="auto")).facts()
    assert (facts.device, facts.precision) == ("cuda", "fp16")


def test_images_are_those_of_plain_diffusers(
    engine: DiffusersEngine, directory: Path
) -> None:
    plain = pipelines.plain(directory).to("cuda")
    expected = plain(
        *("a cat",),
        **{"width": 64, "height": 64, "num_inference_steps": 8, "guidance_scale": 7.5},
        generator=pipelines.generators(5),
    )
    [made] = pipelines.make(engine, _request(5, steps=8, guidance=7.5))
    assert pipelines.difference(pipelines.arrays(expected), made.images) == 0


def test_the_same_seed_gives_the_same_image_also_in_a_batch(
    engine: DiffusersEngine,
) -> None:
    [alone] = pipelines.make(engine, _request(5, steps=8))
    [again] = pipelines.make(engine, _request(5, steps=8))
    assert np.array_equal(alone.images[0], again.images[0])
    batch = pipelines.make(engine, *(_request(seed, steps=8) for seed in range(8)))
    # TF32 rounds a batch of another size in other places.
    assert pipelines.difference(alone.images, batch[5].images) <= 1


def test_images_are_changed(engine: DiffusersEngine) -> None:
    picture = np.full((64, 64, 3), 120, np.uint8)
    [made] = pipelines.make(engine, _request(5, steps=8, images=(picture,)))
    [both] = pipelines.make(engine, _request(5, steps=8, images=(picture, picture)))
    assert made.images[0].shape == both.images[0].shape == (64, 64, 3)


def test_a_request_that_leaves_frees_the_device_within_two_steps(
    engine: DiffusersEngine,
) -> None:
    pipelines.make(engine, _request(1, steps=50))
    began = time.perf_counter()
    pipelines.make(engine, _request(1, steps=50))
    step_seconds = (time.perf_counter() - began) / 50
    batcher = Batcher(engine, 8, 4)
    try:
        for _ in range(20):
            stepped = Event()
            ticket = batcher.submit(
                _request(1, steps=50), on_step=lambda _, stepped=stepped: stepped.set()
            )
            stepped.wait()
            ticket.cancel()
            began = time.perf_counter()
            batcher.submit(_request(2, steps=1)).future.result()
            # The next request needs a step too, and as long as three for the rest.
            assert time.perf_counter() - began < (2 + 1 + 3) * step_seconds + 0.05
    finally:
        batcher.close()


def test_too_little_memory_is_said_and_the_next_request_works(
    engine: DiffusersEngine,
) -> None:
    used = torch.cuda.memory_allocated()
    torch.cuda.empty_cache()
    size = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((used + 40 * 2**20) / size)
    try:
        large = ImageRequest("a cat", 1_024, 1_024, (1, 2, 3, 4), steps=2)
        with pytest.raises(OutOfDeviceMemory, match="fewer or smaller"):
            pipelines.make(engine, large)
        [made] = pipelines.make(engine, _request(5, steps=2))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert made.images[0].shape == (64, 64, 3)
