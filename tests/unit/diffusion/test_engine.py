import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, LCMScheduler, StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.safety_checker import (
    StableDiffusionSafetyChecker,
)
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor

from serve_app.diffusion import tiny
from serve_app.diffusion.engine import DiffusersEngine
from serve_app.diffusion.errors import OutOfDeviceMemory, Stopped
from serve_app.diffusion.loading import load
from serve_app.diffusion.port import ImageRequest
from serve_app.diffusion.sampling import Sampling
from serve_app.errors import InvalidInput
from tests.unit.diffusion.conftest import options
from tests.unit.diffusion.pipelines import (
    Steps,
    arrays,
    difference,
    generators,
    ignore,
    make,
    picture,
    plain,
    recorded,
)

CAT = ImageRequest("a cat", 64, 64, (1, 2), steps=3, guidance=2.0)


def test_the_same_seed_gives_the_same_image_again(engine: DiffusersEngine) -> None:
    first, again = make(engine, CAT)[0], make(engine, CAT)[0]
    assert difference(first.images, again.images) == 0
    assert first.seeds == (1, 2)
    assert difference(first.images[:1], first.images[1:]) > 1, "seeds make a difference"


def test_an_image_hardly_depends_on_its_batch(engine: DiffusersEngine) -> None:
    others = [replace(CAT, prompt="a dog", seeds=(7,)), replace(CAT, seeds=(8, 9, 10))]
    alone = make(engine, CAT)[0]
    together = make(engine, others[0], CAT, others[1])
    assert [len(made.images) for made in together] == [1, 2, 3]
    assert difference(alone.images, together[1].images) <= 1


@pytest.mark.parametrize("negative", ["", "blurry"])
@pytest.mark.parametrize("seeds", [(3,), (1, 2)])
def test_text_to_image_equals_plain_diffusers(
    directory: Path, seeds: tuple[int, ...], negative: str
) -> None:
    request = replace(CAT, negative_prompt=negative, seeds=seeds)
    script = plain(directory)
    if len(seeds) > 1:
        # Decoding several images at once rounds differently.
        script.vae.enable_slicing()
    expected = script(
        prompt=CAT.prompt,
        negative_prompt=negative or None,
        width=64,
        height=64,
        num_images_per_prompt=len(seeds),
        num_inference_steps=3,
        guidance_scale=2.0,
        generator=generators(*seeds),
    )
    made = make(load(options(directory)), request)
    assert difference(made[0].images, arrays(expected)) == 0


def test_image_to_image_equals_plain_diffusers(directory: Path) -> None:
    start = picture(5)
    request = replace(CAT, seeds=(4,), images=(start,), strength=0.7)
    expected = plain(directory, to_image=True)(
        prompt=CAT.prompt,
        image=Image.fromarray(start),
        strength=0.7,
        num_inference_steps=3,
        guidance_scale=2.0,
        generator=torch.Generator("cpu").manual_seed(4),
    )
    made = make(load(options(directory)), request)
    assert difference(made[0].images, arrays(expected)) == 0


def test_sdxl_gets_its_second_text_encoder_and_its_time_ids(
    xl_directory: Path,
) -> None:
    engine, script = load(options(xl_directory)), plain(xl_directory)
    with recorded() as ours:
        make(engine, replace(CAT, seeds=(1,), width=128))
    with recorded() as theirs:
        size = {"width": 128, "height": 64}
        script(CAT.prompt, **size, num_inference_steps=3, guidance_scale=2.0)
    for one, other in zip(ours.conditions, theirs.conditions, strict=True):
        assert one["time_ids"].tolist() == [[64, 128, 0, 0, 64, 128]] * 2
        assert torch.equal(one["time_ids"], other["time_ids"])
        assert torch.equal(one["text_embeds"], other["text_embeds"])
        assert one["text_embeds"][1].abs().sum() > 0


def test_several_images_are_combined_as_the_mean_of_their_latents(
    directory: Path,
) -> None:
    starts = (picture(5), picture(6))
    request = replace(CAT, seeds=(4, 9), images=starts, strength=0.7)
    script = plain(directory, to_image=True)
    pixels = [torch.from_numpy(one.astype(np.float32) / 127.5 - 1) for one in starts]
    with torch.no_grad():
        latents = [
            script.vae.encode(one.permute(2, 0, 1)[None]).latent_dist.mean
            for one in pixels
        ]
    expected = script(
        prompt=[CAT.prompt] * 2,
        image=torch.cat([sum(latents) / 2] * 2) * script.vae.config.scaling_factor,
        strength=0.7,
        num_inference_steps=3,
        guidance_scale=2.0,
        generator=generators(4, 9),
    )
    made = make(load(options(directory)), request)
    assert difference(made[0].images, arrays(expected)) <= 1


def test_images_of_another_size_are_fitted(engine: DiffusersEngine) -> None:
    request = replace(CAT, images=(picture(5, 200, 90),), width=64, height=128)
    made = make(engine, request)
    assert made[0].images[0].shape == (128, 64, 3)


@pytest.mark.parametrize("strength", [1.0, 0.34, 0.3, 1 / 49, 0.0001])
def test_a_changed_image_gets_at_least_one_step(
    engine: DiffusersEngine, strength: float
) -> None:
    request = replace(CAT, images=(picture(5),), strength=strength)
    with recorded() as calls:
        made = make(engine, request)[0]
    assert 1 <= len(calls.steps) <= 4
    assert bool(made.warnings) == (strength * 3 < 1)


def test_lcm_runs_the_steps_and_the_guidance_asked_for(
    sd_directory: Path, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asserted on the calls of the scheduler and of the network."""
    asked: list[int] = []
    real = LCMScheduler.set_timesteps

    def set_timesteps(scheduler: Any, steps: int, *args: Any, **kwargs: Any) -> None:
        asked.append(steps)
        real(scheduler, steps, *args, **kwargs)

    monkeypatch.setattr(LCMScheduler, "set_timesteps", set_timesteps)
    engine = load(options(sd_directory, lora_id=str(lora)))
    for steps, guidance, images in ((5, 1.0, 1), (4, 1.5, 2)):
        with recorded() as calls:
            request = replace(CAT, steps=steps, guidance=guidance, seeds=(1,))
            made = make(engine, request)[0]
        # With guidance, each image is computed with and without its prompt.
        assert calls.steps == [images] * steps
        assert asked.pop() == steps
        assert (made.steps, made.guidance) == (steps, guidance)
        assert made.scheduler == "LCMScheduler"
        assert made.warnings == ()


def test_a_few_step_model_is_not_spoilt_by_untouched_sliders(
    sd_directory: Path, lora: Path
) -> None:
    engine = load(options(sd_directory, lora_id=str(lora), steps=6, guidance=1))
    with recorded() as calls:
        made = make(engine, replace(CAT, seeds=(1,), steps=20, guidance=7.5))[0]
    assert calls.steps == [2] * 8
    assert (made.steps, made.guidance) == (8, 2.0)
    assert made.warnings == (
        "This model needs 1 to 8 steps: 8 were used instead of 20.",
        "This model needs a guidance of 0 to 2: 2 was used instead of 7.5.",
    )
    usual = make(engine, replace(CAT, steps=None, guidance=None))[0]
    assert (usual.steps, usual.guidance, usual.warnings) == (6, 1.0, ())


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.1, 0.0001])
def test_lcm_changes_images_at_any_strength(
    strength: float, sd_directory: Path, lora: Path
) -> None:
    engine = load(options(sd_directory, lora_id=str(lora)))
    with recorded() as calls:
        make(engine, replace(CAT, images=(picture(1),), strength=strength, steps=4))
    assert len(calls.steps) == max(1, int(4 * strength))


def test_a_model_that_overflows_says_so(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = AutoencoderKL.decode

    def decode(vae: Any, latents: Any, **options: Any) -> Any:
        [pixels] = real(vae, latents, **options)
        pixels[1] = float("nan")
        return (pixels,)

    monkeypatch.setattr(AutoencoderKL, "decode", decode)
    fine, broken = make(engine, replace(CAT, seeds=(1,)), replace(CAT, seeds=(2,)))
    assert fine.warnings == ()
    assert "overflowed in fp32" in broken.warnings[0]
    assert not broken.images[0].any()


def test_other_models_obey(engine: DiffusersEngine) -> None:
    made = make(engine, replace(CAT, steps=23, guidance=9.5))[0]
    assert (made.steps, made.guidance, made.warnings) == (23, 9.5, ())


def test_a_batch_stops_within_a_step_and_decodes_nothing(
    engine: DiffusersEngine,
) -> None:
    steps = Steps(most=1)
    with recorded() as calls, pytest.raises(Stopped):
        engine.make([replace(CAT, steps=50)], steps, steps.is_wanted)
    assert len(calls.steps) <= 2
    assert calls.decoded == 0


def test_images_that_nobody_wants_are_not_begun(engine: DiffusersEngine) -> None:
    with recorded() as calls, pytest.raises(Stopped):
        engine.make([CAT], ignore, lambda: False)
    assert calls.steps == []


class WithoutCallbacks(StableDiffusionPipeline):
    """A pipeline that tells nobody of its steps, as some in diffusers."""

    def __call__(
        self,
        prompt: list[str],
        num_inference_steps: int,
        guidance_scale: float,
        generator: list[torch.Generator],
        output_type: str,
    ) -> Any:
        return super().__call__(
            prompt,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=generator,
            output_type=output_type,
        )


def test_a_pipeline_without_callbacks_stops_within_a_step(
    engine: DiffusersEngine,
) -> None:
    pipeline = WithoutCallbacks(
        **tiny.stable_diffusion().components, requires_safety_checker=False
    )
    bare = DiffusersEngine(
        pipeline, Sampling(4, 2.0), engine.facts(), torch.device("cpu")
    )
    request = replace(CAT, seeds=(1,), steps=50, negative_prompt="blurry")
    asked = iter([True] * 3)
    with recorded() as calls, pytest.raises(Stopped):
        bare.make([request], ignore, lambda: next(asked, False))
    assert len(calls.steps) == 2
    [made] = make(bare, replace(request, steps=2))
    assert "negative prompt was ignored" in made.warnings[0]
    with pytest.raises(InvalidInput, match="can't change images"):
        bare.batch_key(replace(request, images=(picture(1),)))


def test_after_running_out_of_memory_the_next_request_works(
    sd_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(options(sd_directory))
    expected = make(engine, CAT)[0]

    def decode(vae: Any, *_: object, **__: object) -> None:
        # As SDXL's pipelines do before they decode.
        vae.to(torch.float64)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as patched:
        patched.setattr(AutoencoderKL, "decode", decode)
        with pytest.raises(OutOfDeviceMemory, match="fewer or smaller"):
            make(engine, CAT)
    assert difference(make(engine, CAT)[0].images, expected.images) == 0


def test_other_failures_are_not_taken_for_a_lack_of_memory(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object, **__: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(AutoencoderKL, "decode", decode)
    with pytest.raises(RuntimeError, match="shapes differ"):
        make(engine, CAT)


def test_a_prompt_that_is_too_long_is_a_warning_and_is_not_logged(
    engine: DiffusersEngine, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("diffusers").addHandler(caplog.handler)
    # A token for each letter, a start and an end.
    [fits] = make(engine, replace(CAT, prompt="x" * 75))
    [long] = make(engine, replace(CAT, prompt="secret" * 20))
    logging.getLogger("diffusers").removeHandler(caplog.handler)
    assert fits.warnings == ()
    assert long.warnings == (
        "The prompt has 122 tokens, and the model reads 77: the end was ignored.",
    )
    assert "secret" not in caplog.text.replace(" ", "")


def test_a_negative_prompt_without_guidance_is_a_warning(
    engine: DiffusersEngine,
) -> None:
    request = replace(CAT, negative_prompt="blurry")
    assert make(engine, request)[0].warnings == ()
    [made] = make(engine, replace(request, guidance=1.0))
    assert "negative prompt was ignored" in made.warnings[0]


def test_previews_are_made_for_who_asked_and_without_the_decoder(
    engine: DiffusersEngine,
) -> None:
    steps = Steps()
    with recorded() as calls:
        engine.make(
            [CAT, replace(CAT, seeds=(5,))], steps, steps.is_wanted, frozenset({0})
        )
    # PNDM takes one step more than it is asked for. Images are decoded one by one.
    assert [each[0].number for each in steps.seen] == [1, 2, 3, 4]
    assert {each[0].steps for each in steps.seen} == {4}
    for each in steps.seen:
        assert [one.shape for one in each[0].previews] == [(8, 8, 3)] * 2
        assert each[1].previews == ()
    assert calls.decoded == 1


def test_the_safety_checker_of_a_model_stays_on() -> None:
    pipeline = tiny.stable_diffusion()
    config = CLIPConfig(
        projection_dim=8,
        vision_config={
            **{"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1},
            **{"num_attention_heads": 1, "image_size": 32, "patch_size": 16},
        },
    )
    checker = StableDiffusionSafetyChecker(config).eval()
    # Each image is nearer to a concept than its threshold.
    torch.nn.init.constant_(checker.concept_embeds_weights, -2.0)
    size = {"height": 32, "width": 32}
    processor = CLIPImageProcessor(size=size, crop_size=size)
    pipeline.register_modules(safety_checker=checker, feature_extractor=processor)
    facts = load(options(Path("tiny"))).facts()
    engine = DiffusersEngine(pipeline, Sampling(4, 2.0), facts, torch.device("cpu"))
    for request in (CAT, replace(CAT, images=(picture(1),))):
        [made] = make(engine, request)
        assert made.flagged == (True, True)
        assert not any(image.any() for image in made.images)
        assert made.warnings == ("The model's safety checker has blackened images.",)


def test_half_precision_equals_plain_diffusers_too(directory: Path) -> None:
    engine, script = load(options(directory, precision="bf16")), plain(directory)
    assert engine.facts().precision == "bf16"
    expected = script.to(torch.bfloat16)(
        prompt=CAT.prompt,
        **{"width": 64, "height": 64, "generator": generators(1)},
        **{"num_inference_steps": 3, "guidance_scale": 2.0},
    )
    [made] = make(engine, replace(CAT, seeds=(1,)))
    assert difference(made.images, arrays(expected)) == 0


@pytest.mark.parametrize(
    "changed",
    [
        *({"width": 72}, {"height": 72}, {"steps": 4}, {"guidance": 3.0}),
        *({"images": (picture(1),)}, {"negative_prompt": "blurry"}),
    ],
)
def test_requests_that_differ_are_not_made_together(
    engine: DiffusersEngine, changed: dict[str, Any]
) -> None:
    key = engine.batch_key(CAT)
    assert engine.batch_key(replace(CAT, **changed)) != key
    assert engine.batch_key(replace(CAT, prompt="a dog", seeds=(9,))) == key


def test_changed_images_are_made_together_at_one_strength(
    engine: DiffusersEngine,
) -> None:
    one = replace(CAT, images=(picture(1),), strength=0.5)
    others = [replace(one, strength=0.6), replace(one, images=(picture(1),) * 2)]
    assert engine.batch_key(one) == engine.batch_key(replace(one, images=(picture(2),)))
    assert engine.batch_key(one) not in [engine.batch_key(other) for other in others]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 65}, "multiples of 8, got 65 x 64"),
        ({"strength": 0.0}, "above 0 and at most 1"),
        ({"strength": 1.1}, "above 0 and at most 1"),
        ({"seeds": ()}, "at least one seed"),
        ({"steps": 0}, "from 1 to 1000, got 0"),
        ({"steps": 1001}, "from 1 to 1000, got 1001"),
    ],
)
def test_what_can_not_be_made_is_refused_with_what_is_allowed(
    engine: DiffusersEngine, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        engine.batch_key(replace(CAT, **changed))
