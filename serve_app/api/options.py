"""What to make of a song, as the text fields of a form say it."""

from collections.abc import Sequence

from serve_app.api.services import ModelInfo
from serve_app.audio import formats
from serve_app.errors import InvalidField, InvalidInput
from serve_app.jobs.job import ACCOMPANIMENT, VOCALS, Options, Priority

FIELDS = ("model", "stems", "format", "priority")
DEFAULT_MODEL = "auto"
DEFAULT_FORMAT = "wav"


def choose(
    fields: Sequence[tuple[str, str]], models: Sequence[ModelInfo], default_model: str
) -> Options:
    """Return what the fields ask for; InvalidField, with the choices, for what is not.

    An empty field is as good as none: forms in browsers send those.
    """
    given = {name: _values(fields, name) for name in FIELDS}
    model = _model(_single(given, "model"), models, default_model)
    format = _format(_single(given, "format"))
    priority = _priority(_single(given, "priority"))
    return Options(model.name, _stems(given["stems"], model), format, priority)


def _values(fields: Sequence[tuple[str, str]], name: str) -> list[str]:
    """The values of a field, be it repeated or a list with commas."""
    texts = (text for field, text in fields if field == name)
    values = (value.strip().lower() for text in texts for value in text.split(","))
    return [value for value in dict.fromkeys(values) if value]


def _single(given: dict[str, list[str]], name: str) -> str:
    values = given[name]
    if len(values) > 1:
        raise InvalidField(f"Give one {name}, not {len(values)}.", name)
    return values[0] if values else ""


def _model(name: str, models: Sequence[ModelInfo], default_model: str) -> ModelInfo:
    wanted = default_model if name in ("", DEFAULT_MODEL) else name
    for model in models:
        if model.name == wanted:
            return model
    choices = ", ".join(model.name for model in models)
    raise InvalidField(
        f"There is no model {wanted[:40]!r}. Choose one of: {choices}.", "model"
    )


def _format(name: str) -> str:
    try:
        return formats.parse(name or DEFAULT_FORMAT).name
    except InvalidInput as err:
        raise InvalidField(err.detail, "format") from err


def _priority(name: str) -> Priority:
    try:
        return Priority(name or Priority.NORMAL)
    except ValueError:
        choices = ", ".join(Priority)
        raise InvalidField(
            f"There is no priority {name[:40]!r}. Choose one of: {choices}.", "priority"
        ) from None


def _stems(names: list[str], model: ModelInfo) -> tuple[str, ...]:
    if not names:
        return model.sources
    has_accompaniment = VOCALS in model.sources
    choices = (*model.sources, *([ACCOMPANIMENT] if has_accompaniment else []))
    unknown = [name for name in names if name not in choices]
    if unknown:
        raise InvalidField(
            f"{model.name} makes no stem {unknown[0][:40]!r}. "
            f"Choose from: {', '.join(choices)}.",
            "stems",
        )
    if ACCOMPANIMENT in names and not set(names) <= {VOCALS, ACCOMPANIMENT}:
        raise InvalidField(
            f"{ACCOMPANIMENT} is all but the {VOCALS} in one stem: choose it alone or "
            f"with {VOCALS}, or choose from: {', '.join(model.sources)}.",
            "stems",
        )
    order = (VOCALS, ACCOMPANIMENT) if ACCOMPANIMENT in names else model.sources
    return tuple(name for name in order if name in names)
