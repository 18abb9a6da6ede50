"""Images have the original's variables, which are lenient, and limits of their own."""

import pytest

from serve_app.images import limits
from serve_app.images.settings_rules import RULES
from serve_app.settings import Settings
from serve_app.settings import check as settings_check
from serve_app.settings.check import WrongSettings

ORIGINAL = {
    "SD_MODEL_ID": "stabilityai/stable-diffusion-xl-base-1.0",
    "SD_LCM_LORA_ID": "latent-consistency/lcm-lora-sdxl",
    "SD_NUM_IMAGES": "3",
    "SD_STEPS": "6",
    "SD_GUIDANCE": "1",
    "SD_SCHEDULER": "lcm",
    "SD_PRECISION": "bf16",
    "SD_DEVICE": "cuda",
    "TORCH_COMPILE": "yes",
    "ALLOW_ORIGINS": "https://a.example, https://b.example",
}


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ORIGINAL.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("original")
def test_the_variables_of_the_original_are_settings() -> None:
    settings = settings_check.read({}, RULES)
    assert settings.default_systems == ("stems", "images")
    assert settings.images_model_id == ORIGINAL["SD_MODEL_ID"]
    assert settings.images_lora == ORIGINAL["SD_LCM_LORA_ID"]
    assert (settings.images_steps, settings.images_guidance) == (6, 1.0)
    assert settings.images_scheduler == "lcm"
    assert (settings.images_precision, settings.images_device) == ("bf16", "cuda")
    assert settings.images_compile
    assert settings.images_origins == ("https://a.example", "https://b.example")
    assert limits.configured(settings).count == 3


def test_nothing_is_configured_by_default() -> None:
    settings = Settings()
    assert settings.default_systems == ("stems",)
    assert settings.images_model_id == "CompVis/stable-diffusion-v1-4"
    assert (settings.images_steps, settings.images_guidance) == (None, None)
    assert limits.configured(settings) == limits.Limits()


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("SD_PRECISION", "FP16", "images_precision", "fp16"),
        ("SD_PRECISION", "float16", "images_precision", "auto"),
        ("SD_PRECISION", "auto", "images_precision", "auto"),
        ("SD_DEVICE", "MPS", "images_device", "mps"),
        ("SD_DEVICE", "rocm", "images_device", "auto"),
        ("TORCH_COMPILE", "1", "images_compile", True),
        ("TORCH_COMPILE", "True", "images_compile", True),
        ("TORCH_COMPILE", "0", "images_compile", False),
        ("TORCH_COMPILE", "on", "images_compile", False),
        ("SD_STEPS", "", "images_steps", None),
        ("SD_NUM_IMAGES", "", "images_count", 2),
        ("IMAGES_MODEL", "tiny", "images_model", "tiny"),
    ],
)
def test_what_the_original_does_not_know_is_its_default(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(Settings(), name) == value


def test_pages_of_this_machine_always_may(monkeypatch: pytest.MonkeyPatch) -> None:
    local = ("http://localhost:*", "http://127.0.0.1:*")
    assert Settings().images_cors_origins == local
    monkeypatch.setenv("ALLOW_ORIGINS", "https://a.example")
    assert Settings().images_cors_origins == ("https://a.example", *local)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SD_MODEL_ID": "models/v1-5.ckpt"}, "with safetensors"),
        ({"SD_MODEL_ID": "../models"}, "an id of the hub"),
        ({"SD_MODEL_ID": "https://example.com/model"}, "an id of the hub"),
        ({"SD_LCM_LORA_ID": "../lora"}, "an id of the hub"),
        ({"STEMSERVE_IMAGES_WEIGHTS_DIR": "/nowhere"}, "is not a directory"),
        ({"SD_NUM_IMAGES": "5"}, "must be at most 4"),
        ({"SD_NUM_IMAGES": "0"}, "at least 1"),
        ({"SD_STEPS": "many"}, "a whole number"),
        ({"SD_GUIDANCE": "-1"}, "at least 0"),
        ({"ALLOW_ORIGINS": "a.example"}, "an origin without a path"),
    ],
)
@pytest.mark.usefixtures("original")
def test_a_wrong_one_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], words: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings, match=words):
        settings_check.read({}, RULES)
