"""Answers and files tell what was really used, and that no camera made the image."""

import json
from xml.etree import ElementTree

import numpy as np

from serve_app.diffusion.port import ImageRequest, Step
from serve_app.images import answer
from tests.images import made, opened, picture

REQUEST = ImageRequest("a secret prompt", 8, 8, seeds=(7, 8), steps=5)
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def test_an_answer_has_images_and_what_was_used() -> None:
    found = json.loads(answer.encoded(made(REQUEST)))
    images = found.pop("images")
    assert found == {
        "seeds": [7, 8],
        "model": "tiny",
        "licence": "MIT",
        "steps": 5,
        "guidanceScale": 1.0,
        "scheduler": "LCMScheduler",
        "warnings": ["Random weights: this is no trained model."],
    }
    for text, seed in zip(images, (7, 8), strict=True):
        assert (np.asarray(opened(text)) == picture(seed)).all()


def test_each_file_carries_the_same_and_no_prompt() -> None:
    found = json.loads(answer.encoded(made(REQUEST, warnings=("First.", "Größer."))))
    for text, seed in zip(found["images"], ("7", "8"), strict=True):
        image = opened(text)
        assert image.format == "PNG"
        assert image.info["seed"] == seed
        assert image.info["model"] == "tiny"
        assert image.info["licence"] == "MIT"
        assert image.info["steps"] == "5"
        assert image.info["guidanceScale"] == "1.0"
        assert image.info["scheduler"] == "LCMScheduler"
        assert image.info["warnings"] == "First.\nGrößer."
        assert "secret" not in str(image.info)


def test_each_file_says_that_a_model_made_it() -> None:
    found = json.loads(answer.encoded(made(REQUEST)))
    preview = json.loads(answer.progress(Step(1, 4, (picture(1),))))
    for text in (*found["images"], *preview["previews"]):
        image = opened(text)
        assert image.info["DigitalSourceType"] == SOURCE_TYPE
        packet = ElementTree.fromstring(image.info["XML:com.adobe.xmp"])  # noqa: S314  our own
        (description,) = packet.iter(
            "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
        )
        name = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
        assert description.attrib[name] == SOURCE_TYPE


def test_the_same_images_are_the_same_bytes() -> None:
    assert answer.encoded(made(REQUEST)) == answer.encoded(made(REQUEST))


def test_a_step_has_its_number_and_its_previews() -> None:
    found = json.loads(answer.progress(Step(2, 4, (picture(1), picture(2)))))
    assert (found["step"], found["steps"]) == (2, 4)
    images = [np.asarray(opened(text)) for text in found["previews"]]
    assert all(
        (image == picture(seed)).all()
        for image, seed in zip(images, (1, 2), strict=True)
    )
