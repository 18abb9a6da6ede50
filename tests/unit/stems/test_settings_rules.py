"""Invalid settings of stems are reported before anything starts."""

from pathlib import Path

import pytest

from serve_app.separation.licences import BY_MODEL
from serve_app.settings import Settings, check
from serve_app.settings.check import WrongSettings
from serve_app.stems.settings_rules import RULES

RESTRICTED = sorted(set(BY_MODEL) - {"demo"})


def read() -> Settings:
    return check.read(rules=RULES)


def test_any_licence_is_allowed_by_default() -> None:
    assert read().allowed_licences == "any"


def test_a_model_that_there_is_not_is_named_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_MODEL", "spleeter")
    words = "^STEMSERVE_MODEL=spleeter: must be one of auto, "
    with pytest.raises(WrongSettings, match=words):
        read()


def test_a_model_that_comes_with_an_extra_is_told_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.stems.settings_rules.REGISTRY", {"demo": None})
    monkeypatch.setenv("STEMSERVE_MODEL", "htdemucs")
    with pytest.raises(WrongSettings, match=r"pip install 'stemserve\[demucs\]'"):
        read()


def test_a_wrong_model_is_told_with_all_other_wrong_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_DEVICE", "gpu")
    monkeypatch.setenv("STEMSERVE_MODEL", "spleeter")
    with pytest.raises(WrongSettings) as caught:
        read()
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("value", ["MIT", "permissive,any", "none", "Permissive"])
def test_what_can_not_be_allowed_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_ALLOWED_LICENCES", value)
    with pytest.raises(WrongSettings, match="must be one of any, permissive"):
        read()


@pytest.mark.parametrize("model", RESTRICTED)
@pytest.mark.parametrize(
    "variable", ["STEMSERVE_ALLOWED_LICENCES", "STEMSERVE_ALLOWED_LICENSES"]
)
def test_a_default_model_that_is_not_allowed_fails_the_start(
    model: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_MODEL", model)
    monkeypatch.setenv(variable, "permissive")
    with pytest.raises(WrongSettings, match=f"STEMSERVE_MODEL={model}"):
        read()


@pytest.mark.parametrize("model", ["auto", "demo"])
def test_the_others_may_be_the_default(model: str) -> None:
    given = {"model": model, "allowed_licences": "permissive"}
    assert check.read(given, RULES).allowed_licences == "permissive"


def set_all(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(f"STEMSERVE_{name}", value)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"DEVICE": "gpu"}, "^STEMSERVE_DEVICE=gpu: must be .* such as cuda:0"),
        ({"DEVICE": "cuda:one"}, "^STEMSERVE_DEVICE=cuda:one: .* such as cuda:0"),
        ({"WEIGHTS_DIR": "/dev/null/w"}, "^STEMSERVE_WEIGHTS_DIR=.* not a dir"),
        (
            {"WEIGHTS_MIRROR": "ftp://a.example"},
            "^STEMSERVE_WEIGHTS_MIRROR=.* a dir",
        ),
        ({"RUNTIME": "openvino", "DEVICE": "cuda"}, "supports CPUs only"),
        ({"PRECISION": "fp16", "DEVICE": "cpu"}, "supports CUDA devices only"),
        ({"PRECISION": "fp16", "RUNTIME": "openvino"}, "supports CUDA devices only"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_can(
    environ: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, environ)
    with pytest.raises(WrongSettings, match=words):
        read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVICE", "cuda:1"),
        ("WEIGHTS_DIR", "not/yet/there"),
        ("WEIGHTS_MIRROR", "https://mirror.example/weights"),
        ("WEIGHTS_MIRROR", "/not/mounted/yet"),
    ],
)
def test_what_can_be_is_taken(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    set_all(monkeypatch, {name: value})
    read()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "extra", "environ"),
    [
        ("openvino", "openvino", {"RUNTIME": "openvino"}),
        ("beat_this", "beats", {"BEATS": "beat-this"}),
        ("beat_this", "beats", {"BEATS": "beat-this-small"}),
    ],
)
def test_what_is_not_installed_is_told_with_its_extra(
    package: str,
    extra: str,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(monkeypatch, environ)
    monkeypatch.setattr(check, "find_spec", lambda name: name)
    read()
    monkeypatch.setattr(
        check, "find_spec", lambda name: None if name == package else name
    )
    with pytest.raises(WrongSettings, match=rf"stemserve\[{extra}\]"):
        read()
