from dataclasses import replace

import pytest

from serve_app.errors import InvalidField
from serve_app.stems.http import form_options as options
from serve_app.stems.options import Priority
from serve_app.stems.request import Options
from tests.unit.server import INFOS

ALL = ("drums", "bass", "other", "vocals")


def choose(*fields: tuple[str, str]) -> Options:
    return options.choose(fields, INFOS, "demo")


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("model", ""), ("stems", " "), ("format", "")],
        [("model", "auto")],
        [("model", "Demo"), ("stems", "vocals,other,bass,drums"), ("format", "WAV")],
    ],
)
def test_what_is_left_open_is_the_default(fields: list[tuple[str, str]]) -> None:
    assert choose(*fields) == Options("demo", ALL, "wav")


@pytest.mark.parametrize("name", ["duo", "DUO", " duo "])
def test_a_model_that_is_not_served_is_refused_with_the_reason(name: str) -> None:
    models = (INFOS[0], replace(INFOS[1], refusal="Its licence is not allowed."))
    assert options.choose([], models, "demo").model == "demo"
    with pytest.raises(InvalidField, match="Its licence is not allowed") as refused:
        options.choose([("model", name)], models, "demo")
    assert refused.value.field == "model"
    with pytest.raises(InvalidField) as refused:
        options.choose([("model", "nope")], models, "demo")
    assert refused.value.detail == "\"model\" must be one of demo; got 'nope'."


@pytest.mark.parametrize(
    ("fields", "stems"),
    [
        ([("stems", "bass")], ("bass",)),
        ([("stems", "vocals, drums")], ("drums", "vocals")),
        ([("stems", "vocals"), ("stems", "drums")], ("drums", "vocals")),
        ([("stems", "bass,bass")], ("bass",)),
        ([("stems", "accompaniment,vocals")], ("vocals", "accompaniment")),
        ([("stems", "accompaniment")], ("accompaniment",)),
        ([("model", "duo")], ("low", "high")),
    ],
)
def test_stems_are_chosen_in_the_order_of_the_model(
    fields: list[tuple[str, str]], stems: tuple[str, ...]
) -> None:
    assert choose(*fields).stems == stems


@pytest.mark.parametrize(
    ("text", "priority"),
    [("", Priority.NORMAL), ("high", Priority.HIGH), (" LOW ", Priority.LOW)],
)
def test_a_priority_is_chosen_by_its_name(text: str, priority: Priority) -> None:
    assert choose(("priority", text)).priority is priority


@pytest.mark.parametrize(
    ("fields", "field", "choices"),
    [
        (
            [("model", "nope")],
            "model",
            "\"model\" must be one of demo, duo; got 'nope'.",
        ),
        ([("model", "demo,duo")], "model", '"model" must be one value, got 2.'),
        ([("stems", "piano")], "stems", "drums, bass, other, vocals, accompaniment"),
        ([("stems", "drums,accompaniment")], "stems", "drums, bass, other, vocals"),
        ([("model", "duo"), ("stems", "accompaniment")], "stems", "low, high."),
        ([("format", "aiff")], "format", "wav, wav24, wav32f, flac, mp3, m4a, opus"),
        (
            [("format", "wav"), ("format", "mp3")],
            "format",
            '"format" must be one value, got 2.',
        ),
        ([("priority", "urgent")], "priority", "high, normal, low"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_choices(
    fields: list[tuple[str, str]], field: str, choices: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        choose(*fields)
    assert caught.value.field == field
    assert choices in caught.value.detail


def test_a_default_model_that_is_not_offered_is_refused() -> None:
    with pytest.raises(InvalidField, match="demo, duo"):
        options.choose([], INFOS, "gone")
