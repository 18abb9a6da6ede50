import pytest
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
)

from serve_app.diffusion import schedulers
from serve_app.errors import InvalidInput

CURRENT = PNDMScheduler(beta_start=0.001, beta_end=0.02, skip_prk_steps=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("euler", EulerDiscreteScheduler),
        ("Euler_A", EulerAncestralDiscreteScheduler),
        ("EulerDiscreteScheduler", EulerDiscreteScheduler),
        ("dpm++", DPMSolverMultistepScheduler),
    ],
)
def test_a_scheduler_is_found_by_what_people_call_it(name: str, kind: type) -> None:
    found = schedulers.by_name(name, CURRENT)
    assert type(found) is kind
    assert (found.config.beta_start, found.config.beta_end) == (0.001, 0.02)


def test_options_of_a_name_and_of_a_model_are_set() -> None:
    karras = schedulers.by_name("dpm++ karras", CURRENT)
    assert karras.config.use_karras_sigmas is True
    assert schedulers.by_name("ddim", CURRENT).config.clip_sample is False
    assert schedulers.by_name("DDPMScheduler", CURRENT).config.clip_sample is False
    trailing = schedulers.by_name("euler", CURRENT, timestep_spacing="trailing")
    assert trailing.config.timestep_spacing == "trailing"


@pytest.mark.parametrize("name", ["", "nonsense", "DiffusionPipeline", "__class__"])
def test_other_names_are_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InvalidInput, match="Use one of: ddim, ddpm,"):
        schedulers.by_name(name, CURRENT)


def test_models_of_flow_matching_keep_their_scheduler() -> None:
    with pytest.raises(InvalidInput, match="Leave the scheduler unset"):
        schedulers.by_name("euler", FlowMatchEulerDiscreteScheduler())
