"""Bodies of old and new clients become requests, or errors that say what is allowed."""

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serve_app.diffusion.port import ImageRequest
from serve_app.errors import BadRequest, InvalidField, InvalidInput
from serve_app.images.limits import Limits
from serve_app.images.request import generation, refinement
from tests.images import encoded

LIMITS = Limits()
WORDS = "a prompt that nobody else may read"
PROMPT = {"prompt": WORDS, "aspectRatio": "1:1"}
RED = Image.new("RGB", (96, 64), (255, 0, 0))
BLUE = Image.new("RGB", (64, 96), (0, 0, 255))
CHANGE = {"refinePrompt": WORDS, "images": [encoded(RED)]}


def body(fields: Any) -> bytes:
    return json.dumps(fields).encode()


def generated(fields: Any, limits: Limits = LIMITS) -> ImageRequest:
    return generation(body(fields), limits, lambda below: 5)


def refined(fields: Any, limits: Limits = LIMITS) -> ImageRequest:
    return refinement(body(fields), limits, lambda below: 5)


def test_a_plain_request_makes_two_images_of_other_seeds() -> None:
    request = generated(PROMPT)
    assert request == ImageRequest(WORDS, 640, 640, seeds=(5, 6))


@pytest.mark.parametrize("name", ["aspectRatio", "aspect_ratio", "aspectratio"])
def test_each_name_of_the_ratio_is_known(name: str) -> None:
    request = generated({"prompt": WORDS, name: "9:16", "resolution": "high"})
    assert (request.width, request.height) == (576, 1024)


@pytest.mark.parametrize(
    "ignored",
    [
        {"temperature": 0.3},
        {"temperature": "hot"},
        {"style": ["oil"], "model": 7},
        {"config": None},
        {"config": {}},
        {"config": {"modelPath": "/etc/passwd", "sampler": "x", "prompt": "other"}},
    ],
)
def test_what_nobody_knows_is_ignored(ignored: dict[str, Any]) -> None:
    assert generated({**PROMPT, **ignored}) == generated(PROMPT)
    assert refined({**CHANGE, **ignored}).prompt == WORDS


OPTIONS = {
    "n": 3,
    "seed": 2**53 - 2,
    "steps": 20,
    "guidanceScale": 7.5,
    "negativePrompt": "blur",
}


@pytest.mark.parametrize("fields", [OPTIONS, {"config": OPTIONS}])
def test_options_are_taken_at_the_top_and_in_config(fields: dict[str, Any]) -> None:
    expected = {
        "seeds": (2**53 - 2, 2**53 - 1, 0),
        "steps": 20,
        "guidance": 7.5,
        "negative_prompt": "blur",
    }
    assert generated({**PROMPT, **fields}) == ImageRequest(
        WORDS,
        640,
        640,
        **expected,  # type: ignore[arg-type]
    )


def test_the_top_is_over_config_unless_it_is_null() -> None:
    config = {"config": {"steps": 20, "seed": 1}}
    request = generated({**PROMPT, **config, "steps": 30.0, "seed": None})
    assert (request.steps, request.seeds) == (30, (1, 2))


@pytest.mark.parametrize("images", ["images", "baseImages"])
@pytest.mark.parametrize("prompt", ["refinePrompt", "prompt"])
def test_each_name_of_a_refinement_is_known(prompt: str, images: str) -> None:
    fields = {prompt: WORDS, images: [encoded(RED)], "config": {"strength": 0.25}}
    request = refined(fields)
    assert (request.prompt, request.strength) == (WORDS, 0.25)
    assert (request.width, request.height, len(request.seeds)) == (96, 64, 2)
    assert (request.images[0] == np.asarray(RED)).all()


def test_a_refinement_has_a_default_strength() -> None:
    assert refined(CHANGE).strength == 0.6


@pytest.mark.parametrize(
    "prefix", ["data:image/png;base64,", "data:;base64,", "DATA:image/webp;x=1;base64,"]
)
def test_images_may_be_data_urls(prefix: str) -> None:
    plain = refined(CHANGE)
    request = refined({**CHANGE, "images": [prefix + encoded(RED)]})
    assert (request.images[0] == plain.images[0]).all()


def test_blanks_in_base64_do_not_matter() -> None:
    text = encoded(RED)
    broken = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    assert refined({**CHANGE, "images": [f" {broken}\n"]}).images


def test_base64_may_be_unpadded_and_of_the_alphabet_for_urls() -> None:
    plain = refined(CHANGE)
    noise = encoded(Image.effect_noise((64, 64), 90))
    assert {"+", "/"} <= set(noise)
    url_safe = noise.translate(str.maketrans("+/", "-_")).rstrip("=")
    request = refined({**CHANGE, "images": [encoded(RED).rstrip("="), url_safe]})
    assert (request.images[0] == plain.images[0]).all()
    with pytest.raises(BadRequest):
        refined({**CHANGE, "images": [encoded(RED).replace("A", "*", 1)]})


def test_other_images_are_fitted_to_the_first() -> None:
    request = refined({**CHANGE, "images": [encoded(RED), encoded(BLUE)]})
    assert [image.shape for image in request.images] == [(64, 96, 3)] * 2
    assert request.images[1][0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("count", "size"), [(1, (1024, 1024)), (4, (512, 512))])
def test_large_images_are_made_as_large_as_allowed(
    count: int, size: tuple[int, int]
) -> None:
    large = encoded(Image.new("RGB", (1200, 1200)))
    limits = replace(LIMITS, max_pixels=1024 * 1024)
    request = refined({**CHANGE, "images": [large], "n": count}, limits)
    assert (request.width, request.height) == size


WRONG: dict[str, tuple[Any, str]] = {
    "no prompt": ({"aspectRatio": "1:1"}, "prompt"),
    "null prompt": ({**PROMPT, "prompt": None}, "prompt"),
    "empty prompt": ({**PROMPT, "prompt": ""}, "prompt"),
    "blank prompt": ({**PROMPT, "prompt": " \n"}, "prompt"),
    "list prompt": ({**PROMPT, "prompt": [WORDS]}, "prompt"),
    "long prompt": ({**PROMPT, "prompt": WORDS * 100}, "prompt"),
    "half a character": ({**PROMPT, "prompt": f"{WORDS} \ud800"}, "prompt"),
    "no ratio": ({"prompt": WORDS}, "aspectRatio"),
    "null ratio": ({**PROMPT, "aspectRatio": None}, "aspectRatio"),
    "empty ratio": ({**PROMPT, "aspectRatio": ""}, "aspectRatio"),
    "unknown ratio": ({**PROMPT, "aspectRatio": "7:3"}, "aspectRatio"),
    "number as ratio": ({**PROMPT, "aspectRatio": 1.5}, "aspectRatio"),
    "text as config": ({**PROMPT, "config": "steps=20"}, "config"),
    "list as config": ({**PROMPT, "config": [20]}, "config"),
    "no steps": ({**PROMPT, "steps": 0}, "steps"),
    "many steps": ({**PROMPT, "config": {"steps": 151}}, "steps"),
    "half steps": ({**PROMPT, "steps": 4.5}, "steps"),
    "text steps": ({**PROMPT, "steps": "20"}, "steps"),
    "true steps": ({**PROMPT, "steps": True}, "steps"),
    "infinite steps": ({**PROMPT, "steps": float("inf")}, "steps"),
    "huge steps": ({**PROMPT, "steps": 10**400}, "steps"),
    "no number as guidance": (
        {**PROMPT, "guidanceScale": float("nan")},
        "guidanceScale",
    ),
    "negative guidance": ({**PROMPT, "guidanceScale": -1}, "guidanceScale"),
    "large guidance": ({**PROMPT, "guidanceScale": 51}, "guidanceScale"),
    "negative seed": ({**PROMPT, "seed": -1}, "seed"),
    "large seed": ({**PROMPT, "seed": 2**53}, "seed"),
    "no images at all": ({**PROMPT, "n": 0}, "n"),
    "many images": ({**PROMPT, "n": 5}, "n"),
    "number as negative": ({**PROMPT, "negativePrompt": 3}, "negativePrompt"),
    "long negative": ({**PROMPT, "negativePrompt": WORDS * 100}, "negativePrompt"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named_and_nothing_repeated(name: str) -> None:
    fields, field = WRONG[name]
    with pytest.raises(InvalidField, match=f"`{field}` ") as error:
        generated(fields)
    assert (error.value.status, error.value.field) == (422, field)
    assert WORDS not in str(error.value.args)


WRONG_CHANGES: dict[str, tuple[Any, str]] = {
    "no prompt": ({"images": CHANGE["images"]}, "refinePrompt"),
    "empty prompt": ({**CHANGE, "refinePrompt": ""}, "refinePrompt"),
    "no images": ({"refinePrompt": WORDS}, "images"),
    "empty images": ({**CHANGE, "images": []}, "images"),
    "null images": ({**CHANGE, "images": None}, "images"),
    "a text as images": ({**CHANGE, "images": encoded(RED)}, "images"),
    "numbers as images": ({**CHANGE, "images": [1]}, "images"),
    "null as image": ({**CHANGE, "images": [None]}, "images"),
    "an empty image": ({**CHANGE, "images": [encoded(RED), ""]}, "images"),
    "many images": ({**CHANGE, "images": [encoded(RED)] * 9}, "images"),
    "no strength": ({**CHANGE, "strength": 0}, "strength"),
    "large strength": ({**CHANGE, "strength": 1.01}, "strength"),
    "text strength": ({**CHANGE, "strength": "0.6"}, "strength"),
}


@pytest.mark.parametrize("name", WRONG_CHANGES)
def test_a_wrong_field_of_a_refinement_is_named(name: str) -> None:
    fields, field = WRONG_CHANGES[name]
    with pytest.raises(InvalidField, match=f"`{field}` ") as error:
        refined(fields)
    assert (error.value.status, error.value.field) == (422, field)
    assert WORDS not in str(error.value.args)


NO_IMAGES = {
    "no base64": "%%%",
    "one character": "A",
    "not ASCII": "größer",
    "no image": base64.b64encode(b"hello").decode(),
    "another format": encoded(RED, "GIF"),
    "cut off": encoded(Image.effect_noise((64, 64), 90))[:400],
    "an empty data URL": "data:image/png;base64,",
    "no comma": "data:image/png;base64",
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_is_a_bad_request(name: str) -> None:
    with pytest.raises(BadRequest) as error:
        refined({**CHANGE, "images": [encoded(RED), NO_IMAGES[name]]})
    assert error.value.status == 400


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"a": 1'],
)
def test_a_body_must_be_an_object(data: bytes) -> None:
    for parse in (generation, refinement):
        with pytest.raises(InvalidInput, match="must be a JSON object"):
            parse(data, LIMITS, lambda below: 5)


def test_all_images_of_a_request_share_its_pixels() -> None:
    limits = replace(LIMITS, max_pixels=2 * 640 * 640)
    assert generated({**PROMPT, "n": 2}, limits)
    with pytest.raises(InvalidField, match="3 images of 640 x 640 have more than"):
        generated({**PROMPT, "n": 3}, limits)


def test_an_image_that_is_sent_has_a_limit_of_its_own() -> None:
    limits = replace(LIMITS, max_input_pixels=96 * 64 - 1)
    with pytest.raises(InvalidInput, match="at most 6143 pixels, got 96 x 64"):
        refined(CHANGE, limits)


def test_seeds_of_requests_without_one_are_random() -> None:
    asked: list[int] = []

    def random(below: int) -> int:
        asked.append(below)
        return 9

    request = generation(body(PROMPT), LIMITS, random)
    assert (request.seeds, asked) == ((9, 10), [2**32])
