"""How many steps and how much guidance models are made for."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sampling:
    """The steps and guidance of requests that name none, and what else a model obeys.

    Models for few steps have a range of both, inclusive; others obey any. `scheduler`
    is the name of the one they need, if it is not part of them; `trailing` ones take
    timesteps from the end.
    """

    steps: int
    guidance: float
    steps_range: tuple[int, int] | None = None
    guidance_range: tuple[float, float] | None = None
    scheduler: str = ""
    trailing: bool = False

    @property
    def few_steps(self) -> bool:
        """Whether the model is made for few steps."""
        return self.steps_range is not None

    def with_defaults(self, steps: int | None, guidance: float | None) -> "Sampling":
        """Return this with other defaults, kept within the ranges."""
        chosen = replace(
            self,
            steps=self.steps if steps is None else steps,
            guidance=self.guidance if guidance is None else guidance,
        )
        found_steps, found_guidance, _ = chosen.obeyed(None, None)
        return replace(chosen, steps=found_steps, guidance=found_guidance)

    def obeyed(
        self, steps: int | None, guidance: float | None
    ) -> tuple[int, float, tuple[str, ...]]:
        """Return the steps and guidance to use for those asked for, and warnings."""
        asked_steps = self.steps if steps is None else steps
        asked_guidance = self.guidance if guidance is None else guidance
        used_steps, used_guidance = asked_steps, asked_guidance
        warnings: list[str] = []
        if self.steps_range is not None:
            low, high = self.steps_range
            used_steps = min(max(asked_steps, low), high)
        if self.guidance_range is not None:
            least, most = self.guidance_range
            used_guidance = min(max(asked_guidance, least), most)
        if used_steps != asked_steps:
            warnings.append(
                f"This model needs {low} to {high} steps: {used_steps} were used "
                f"instead of {asked_steps}."
            )
        if used_guidance != asked_guidance:
            warnings.append(
                f"This model needs a guidance of {least:g} to {most:g}: "
                f"{used_guidance:g} was used instead of {asked_guidance:g}."
            )
        return used_steps, used_guidance, tuple(warnings)


USUAL = Sampling(20, 7.5)
# Latent consistency, as a LoRA: arXiv 2311.05556.
LCM = Sampling(6, 1.0, (1, 8), (0.0, 2.0), "lcm")
# Latent consistency models: guidance is an input of their networks; arXiv 2310.04378.
LCM_DISTILLED = Sampling(4, 8.0, (1, 8), (1.0, 14.0), "lcm")
# SDXL-Lightning (arXiv 2402.13929) and Turbo (arXiv 2311.17042) are trained without
# classifier-free guidance, which 1 and less turn off.
LIGHTNING = Sampling(4, 1.0, (1, 8), (0.0, 1.0), "euler", trailing=True)
TURBO = Sampling(2, 1.0, (1, 4), (0.0, 1.0))
