"""Small pictures of latents, without the decoder."""

import numpy as np
import torch
from torch import Tensor

from serve_app.diffusion.port import Pixels

# Linear maps of the four latent channels to red, green and blue in [-1, 1], with what
# is added. Stable Diffusion 1: K. Turner, "Decoding latents to RGB without upscaling",
# discuss.huggingface.co/t/23204. SDXL: T. Alexis Vass, "Explaining the SDXL latent
# space", huggingface.co/blog, whose levels of 255 are scaled here.
_SD = (
    ((0.298, 0.187, -0.158, -0.184), 0.0),
    ((0.207, 0.286, 0.189, -0.271), 0.0),
    ((0.208, 0.173, 0.264, -0.473), 0.0),
)
_SDXL = (
    ((60 / 127.5, -60 / 127.5, 25 / 127.5, -70 / 127.5), 150 / 127.5 - 1),
    ((60 / 127.5, -5 / 127.5, 15 / 127.5, -50 / 127.5), 140 / 127.5 - 1),
    ((60 / 127.5, 10 / 127.5, -5 / 127.5, -35 / 127.5), 130 / 127.5 - 1),
)
_CHANNELS = 4


def of_latents(latents: Tensor, is_xl: bool) -> tuple[Pixels, ...]:
    """Return a picture of each of the latents (image, channel, height, width).

    A latent is a pixel. Empty for latents of other models than Stable Diffusion's.
    """
    if latents.ndim != 4 or latents.shape[1] != _CHANNELS:
        return ()
    table = _SDXL if is_xl else _SD
    weights = torch.tensor([row for row, _ in table])
    bias = torch.tensor([shift for _, shift in table])
    plain = latents.float().cpu()
    # Some schedulers scale latents with their noise, which would only be white here.
    plain = plain / plain.std(dim=(1, 2, 3), keepdim=True).clamp(min=1.0)
    colours = torch.einsum("nchw,rc->nhwr", plain, weights) + bias
    levels = ((colours + 1) * 127.5).clamp(0, 255).round().numpy()
    return tuple(levels.astype(np.uint8))
