"""Invalid settings of stems are reported before anything starts."""

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
