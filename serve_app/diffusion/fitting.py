"""Fit images into a size."""

import numpy as np
import torch

from serve_app.diffusion.port import Pixels


def fitted(image: Pixels, width: int, height: int) -> Pixels:
    """Return the middle of an image in the ratio of a size, scaled to it."""
    rows, columns = image.shape[:2]
    if (columns, rows) == (width, height):
        return image
    kept_columns = max(1, min(columns, round(rows * width / height)))
    kept_rows = max(1, min(rows, round(columns * height / width)))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    middle = image[top : top + kept_rows, left : left + kept_columns]
    pixels = torch.from_numpy(middle.transpose(2, 0, 1).astype(np.float32))[None]
    scaled = torch.nn.functional.interpolate(
        pixels, size=(height, width), mode="bicubic", antialias=True
    )
    levels = scaled[0].clamp(0, 255).round().numpy().astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))
