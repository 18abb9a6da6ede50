"""The table of sizes, as clients expect it."""

import pytest

from serve_app.errors import InvalidField
from serve_app.images import sizes

TABLE = {
    "1:1": ((640, 640), (1024, 1024)),
    "Auto": ((640, 640), (1024, 1024)),
    "9:16": ((512, 896), (576, 1024)),
    "16:9": ((896, 512), (1024, 576)),
    "3:4": ((576, 768), (768, 1024)),
    "4:3": ((768, 576), (1024, 768)),
    "2:3": ((512, 768), (680, 1024)),
    "3:2": ((768, 512), (1024, 680)),
    "4:5": ((512, 640), (816, 1024)),
    "5:4": ((640, 512), (1024, 816)),
    "21:9": ((960, 416), (1024, 432)),
}


def test_there_are_no_other_ratios() -> None:
    assert set(sizes.BY_RATIO) == set(TABLE)


@pytest.mark.parametrize("ratio", TABLE)
def test_each_ratio_has_its_sizes(ratio: str) -> None:
    standard, high = TABLE[ratio]
    for unknown in ("standard", None, "", "4k", "HIGH", 3, ["high"]):
        assert sizes.of_ratio(ratio, unknown) == standard
    assert sizes.of_ratio(ratio, "high") == high


@pytest.mark.parametrize("ratio", ["", "1:2", "16:9 ", None, 1, ["1:1"], {"a": 1}])
def test_another_ratio_is_refused_with_those_there_are(ratio: object) -> None:
    with pytest.raises(InvalidField, match="one of 1:1, Auto, 9:16") as error:
        sizes.of_ratio(ratio, "high")
    assert error.value.field == "aspectRatio"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 640), (640, 640)),
        ((576, 1024), (576, 1024)),
        ((645, 799), (648, 800)),
        ((200, 150), (200, 152)),
        ((8, 8), (64, 64)),
        # Scaled down to a megapixel.
        ((2048, 2048), (1024, 1024)),
        ((4032, 3024), (1176, 880)),
        # As far as its sides allow.
        ((40_000, 1), (16384, 64)),
    ],
)
def test_an_image_keeps_about_its_size(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert sizes.near(*size, 1024 * 1024) == expected


@pytest.mark.parametrize("most", [64 * 64, 100_000, 1024 * 1024])
def test_no_size_is_over_the_limit_or_between_steps(most: int) -> None:
    lengths = (1, 7, 63, 64, 65, 500, 1023, 1024, 5000, 100_000)
    for width in lengths:
        for height in lengths:
            found = sizes.near(width, height, most)
            assert found[0] * found[1] <= most, (width, height)
            assert min(found) >= 64
            assert found[0] % 8 == found[1] % 8 == 0
