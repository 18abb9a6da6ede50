"""Make images with pipelines of diffusers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from diffusers import AutoPipelineForImage2Image
from numpy.typing import NDArray

from serve_app.diffusion import devices, fitting, networks, previews
from serve_app.diffusion.errors import OutOfDeviceMemory, Stopped
from serve_app.diffusion.port import Facts, ImageRequest, Made, Step
from serve_app.diffusion.sampling import Sampling
from serve_app.errors import InvalidInput

OnStep = Callable[[Mapping[int, Step]], None]

# The least share of noise that an image gets: one step of so many.
_LEAST_STRENGTH = 1 / 50
# Models are trained with so many; a scheduler takes some of them.
_MOST_STEPS = 1_000


@dataclass(frozen=True)
class _Plan:
    """What a request's images are made with."""

    steps: int
    guidance: float
    strength: float
    warnings: tuple[str, ...]


class DiffusersEngine:
    """An `Engine` over a text-to-image pipeline, and one that changes images with it.

    Both share their weights. Each image has a generator of its own, which draws its
    noise as a pipeline does for one image, so it hardly depends on the batch. Noise is
    drawn in the model's precision: the same seed is another image in bf16 than in fp32.
    """

    def __init__(
        self, pipeline: Any, sampling: Sampling, facts: Facts, device: torch.device
    ) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline
        self._changing = _changing(pipeline)
        self._sampling = sampling
        self._device = device
        self._dtypes = {
            name: part.dtype
            for name, part in pipeline.components.items()
            if isinstance(part, torch.nn.Module)
        }
        self._facts = replace(
            facts,
            steps=sampling.steps,
            guidance=sampling.guidance,
            few_steps=sampling.few_steps,
        )

    def facts(self) -> Facts:
        """Return what the engine is."""
        return self._facts

    def batch_key(self, request: ImageRequest) -> tuple[object, ...]:
        """Return what requests must have in common; see `Engine`.

        Raises InvalidInput for what the model can't make.
        """
        self._check(request)
        plan = self._plan(request)
        return (
            *(request.width, request.height, plan.steps, plan.guidance, plan.strength),
            # One image is encoded by the pipeline, several before.
            min(len(request.images), 2),
            # Some models read no negative prompt in another way than an empty one.
            bool(request.negative_prompt),
        )

    def make(
        self,
        requests: Sequence[ImageRequest],
        on_step: OnStep,
        is_wanted: Callable[[], bool],
        with_previews: frozenset[int] = frozenset(),
    ) -> list[Made]:
        """Make the images of requests with one batch key; see `Engine`."""
        pace = devices.Pace(self._device)
        watch = _Watch(requests, on_step, is_wanted, with_previews, pace)
        watch.check()
        try:
            return self._make(requests, watch)
        except (RuntimeError, MemoryError) as err:
            if not devices.is_out_of_memory(err):
                raise
        # Here, because the error holds on to the tensors of the call that failed.
        self._recover()
        raise OutOfDeviceMemory(
            "The device has too little memory for these images. Ask for fewer or "
            "smaller ones, or try again later."
        )

    def _make(self, requests: Sequence[ImageRequest], watch: "_Watch") -> list[Made]:
        pipeline = self._changing if requests[0].images else self._pipeline
        call = self._call(requests, self._plan(requests[0]))
        result = self._run(pipeline, call, watch)
        pixels = np.asarray(result.images)
        flags = getattr(result, "nsfw_content_detected", None) or [False] * len(pixels)
        made, start = [], 0
        for request in requests:
            part = slice(start, start + len(request.seeds))
            made.append(self._made(pipeline, request, pixels[part], flags[part]))
            start = part.stop
        return made

    def _made(
        self,
        pipeline: Any,
        request: ImageRequest,
        pixels: NDArray[np.float32],
        flags: Sequence[bool],
    ) -> Made:
        """Return a request's images, of pixels in [0, 1], and what was used."""
        plan = self._plan(request)
        warnings = [*plan.warnings, *self._warnings(pipeline, request)]
        if any(flags):
            warnings.append("The model's safety checker has blackened images.")
        if not np.isfinite(pixels).all():
            warnings.append(
                f"The model overflowed in {self._facts.precision}: parts of images are "
                "black. Run it in fp32."
            )
        levels = (np.nan_to_num(pixels) * 255).round().astype(np.uint8)
        return Made(
            images=tuple(levels),
            seeds=request.seeds,
            # As the pipeline's call left them.
            steps=pipeline.scheduler.num_inference_steps,
            guidance=getattr(pipeline, "guidance_scale", plan.guidance),
            scheduler=type(pipeline.scheduler).__name__,
            model=self._facts.model,
            licence=self._facts.licence,
            warnings=tuple(warnings),
            flagged=tuple(bool(flag) for flag in flags),
        )

    def _call(self, requests: Sequence[ImageRequest], plan: _Plan) -> dict[str, Any]:
        """Return the arguments of the pipeline's call."""
        counts = {len(request.seeds) for request in requests}
        # Texts are encoded once for the images of a request, where the counts agree.
        each = counts.pop() if len(counts) == 1 else 1
        texts = [
            request for request in requests for _ in range(len(request.seeds) // each)
        ]
        call: dict[str, Any] = {
            "prompt": [request.prompt for request in texts],
            "num_images_per_prompt": each,
            "num_inference_steps": plan.steps,
            "guidance_scale": plan.guidance,
            "generator": [
                torch.Generator("cpu").manual_seed(seed)
                for request in requests
                for seed in request.seeds
            ],
            "output_type": "np",
        }
        if requests[0].negative_prompt:
            call["negative_prompt"] = [request.negative_prompt for request in texts]
        if requests[0].images:
            call["image"] = self._starts(requests)
            call["strength"] = plan.strength
        call["width"], call["height"] = requests[0].width, requests[0].height
        return call

    def _starts(self, requests: Sequence[ImageRequest]) -> Any:
        """Return the start of each image: pixels in [0, 1], or latents if combined."""
        starts: list[Any] = []
        for request in requests:
            fitted = [
                fitting.fitted(image, request.width, request.height)
                for image in request.images
            ]
            start = (
                networks.mean_latents(self._changing, fitted)
                if len(fitted) > 1
                else fitted[0].astype(np.float32) / 255.0
            )
            starts += [start] * len(request.seeds)
        return starts

    def _run(self, pipeline: Any, call: dict[str, Any], watch: "_Watch") -> Any:
        """Call the pipeline, watched in each step."""
        taken = networks.parameters(pipeline)
        call = {name: value for name, value in call.items() if name in taken}
        if "callback_on_step_end" in taken:
            return pipeline(**call, callback_on_step_end=watch.ended)
        # Nothing tells of the steps of such a pipeline but its network's calls.
        hook = networks.denoiser(pipeline).register_forward_pre_hook(watch.check)
        try:
            return pipeline(**call)
        finally:
            hook.remove()

    def _check(self, request: ImageRequest) -> None:
        if not request.seeds:
            raise InvalidInput("There must be at least one seed.")
        factor = getattr(self._pipeline, "vae_scale_factor", 8)
        if request.steps is not None and not 1 <= request.steps <= _MOST_STEPS:
            raise InvalidInput(
                f"The steps must be from 1 to {_MOST_STEPS}, got {request.steps}."
            )
        if request.width % factor or request.height % factor:
            raise InvalidInput(
                f"The width and the height must be multiples of {factor}, got "
                f"{request.width} x {request.height}."
            )
        if request.images and self._changing is None:
            raise InvalidInput(f"{self._facts.model} can't change images.")
        if not 0 < request.strength <= 1:
            raise InvalidInput(
                f"The strength must be above 0 and at most 1, got {request.strength}."
            )

    def _plan(self, request: ImageRequest) -> _Plan:
        steps, guidance, warnings = self._sampling.obeyed(
            request.steps, request.guidance
        )
        if not request.images:
            return _Plan(steps, guidance, 1.0, warnings)
        # Pipelines skip the steps before the noise that images get, and fail if none
        # is left.
        strength, few = request.strength, steps
        if int(steps * strength) < 1:
            strength = max(strength, _LEAST_STRENGTH)
            while int(steps * strength) < 1:
                steps += 1
            warnings += (
                f"A strength of {request.strength:g} leaves no step of {few}: one step "
                f"of {steps} was made, by a strength of {strength:g}.",
            )
        return _Plan(steps, guidance, strength, warnings)

    def _warnings(self, pipeline: Any, request: ImageRequest) -> list[str]:
        """Return what the model did not read of the texts."""
        found = []
        texts = {"prompt": request.prompt, "negative prompt": request.negative_prompt}
        for name, text in texts.items():
            count, most = networks.read_tokens(pipeline, text)
            if count > most:
                found.append(
                    f"The {name} has {count} tokens, and the model reads {most}: the "
                    "end was ignored."
                )
        if request.negative_prompt and not _reads_negative(pipeline):
            found.append(
                "The negative prompt was ignored: it needs a guidance above 1, and a "
                "model that reads it."
            )
        return found

    def _recover(self) -> None:
        """Free what a failed call used, and undo what it left behind."""
        for name, dtype in self._dtypes.items():
            # A decoder may have been on its way to fp32 and back.
            getattr(self._pipeline, name).to(dtype)
        devices.free_cache(self._device)


class _Watch:
    """Tells what a call's steps are, and stops it when its images are not wanted."""

    def __init__(
        self,
        requests: Sequence[ImageRequest],
        on_step: OnStep,
        is_wanted: Callable[[], bool],
        with_previews: frozenset[int],
        pace: devices.Pace,
    ) -> None:
        self._counts = [len(request.seeds) for request in requests]
        self._on_step = on_step
        self._is_wanted = is_wanted
        self._with_previews = with_previews
        self._pace = pace

    def check(self, *_: object) -> None:
        """Raise Stopped if the images are not wanted."""
        self._pace.step()
        if not self._is_wanted():
            raise Stopped

    def ended(
        self, pipeline: Any, index: int, _timestep: object, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """Report the end of a step.

        An exception stops a pipeline at once; its interrupt would still decode images.
        """
        self.check()
        pictures = self._pictures(pipeline, tensors["latents"])
        steps = pipeline.num_timesteps
        self._on_step(
            {
                number: Step(index + 1, steps, pictures.get(number, ()))
                for number in range(len(self._counts))
            }
        )
        return {}

    def _pictures(self, pipeline: Any, latents: Any) -> dict[int, tuple[Any, ...]]:
        found, start = {}, 0
        for number, count in enumerate(self._counts):
            if number in self._with_previews:
                part = latents[start : start + count]
                found[number] = previews.of_latents(part, networks.is_xl(pipeline))
            start += count
        return found


def _changing(pipeline: Any) -> Any:
    """Return an image-to-image pipeline with the weights of another, or None."""
    try:
        changing = AutoPipelineForImage2Image.from_pipe(pipeline)
    except ValueError:
        # There is none for this kind of model.
        return None
    changing.set_progress_bar_config(disable=True)
    return changing


def _reads_negative(pipeline: Any) -> bool:
    return bool(
        getattr(pipeline, "do_classifier_free_guidance", True)
        and "negative_prompt" in networks.parameters(pipeline)
    )
