import numpy as np
import pytest
import torch

from serve_app.diffusion import previews


@pytest.mark.parametrize("is_xl", [False, True])
def test_a_preview_has_a_pixel_for_each_latent(is_xl: bool) -> None:
    found = previews.of_latents(torch.randn(2, 4, 8, 16), is_xl)
    assert [one.shape for one in found] == [(8, 16, 3)] * 2
    assert found[0].dtype == np.uint8


@pytest.mark.parametrize("is_xl", [False, True])
def test_the_first_channel_is_about_the_brightness(is_xl: bool) -> None:
    bright, dark = (
        previews.of_latents(
            torch.tensor([level, 0.0, 0.0, 0.0])[None, :, None, None].expand(
                1, 4, 4, 4
            ),
            is_xl,
        )[0]
        for level in (1.0, -1.0)
    )
    assert (bright.astype(int) > dark.astype(int)).all()


def test_the_scale_of_a_schedulers_noise_does_not_matter() -> None:
    latents = torch.randn(1, 4, 8, 8) * 5
    one, other = (previews.of_latents(latents * scale, False)[0] for scale in (1, 3))
    assert np.abs(one.astype(int) - other).max() <= 1


def test_latents_of_other_models_have_no_preview() -> None:
    assert previews.of_latents(torch.randn(1, 16, 8, 8), False) == ()
    assert previews.of_latents(torch.randn(1, 64, 64), False) == ()
