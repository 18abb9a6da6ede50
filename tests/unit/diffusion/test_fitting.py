import numpy as np
import pytest

from serve_app.diffusion.fitting import fitted
from tests.unit.diffusion.pipelines import picture


def test_an_image_of_the_size_is_not_changed() -> None:
    image = picture(1, 64, 32)
    assert fitted(image, 64, 32) is image


@pytest.mark.parametrize("size", [(64, 64), (640, 416), (8, 128)])
@pytest.mark.parametrize("given", [(100, 50), (50, 100), (1, 1), (300, 2)])
def test_any_image_gets_the_size(size: tuple[int, int], given: tuple[int, int]) -> None:
    found = fitted(picture(1, *given), *size)
    assert found.shape == (size[1], size[0], 3)
    assert found.dtype == np.uint8


def test_the_middle_is_kept_in_its_ratio() -> None:
    """Of a wide image: a white square in the middle, and black at the sides."""
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 255
    assert (fitted(image, 40, 40) == 255).all()
