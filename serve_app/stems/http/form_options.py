"""What to make of a song, as the text fields of a form say it."""

from collections.abc import Callable, Sequence

from serve_app.audio import formats
from serve_app.errors import InvalidField, InvalidInput, RefusedUrl
from serve_app.stems import reports
from serve_app.stems.http.services import ModelInfo
from serve_app.stems.request import ACCOMPANIMENT, VOCALS, Options, Priority
from serve_app.webhooks.target import Event, Webhook

BPM_RANGE = "bpm_range"
_OPTIONS = ("model", "stems", "format", "priority", BPM_RANGE)
WEBHOOK_URL, WEBHOOK_EVENTS = "webhook_url", "webhook_events"
FIELDS = (*_OPTIONS, WEBHOOK_URL, WEBHOOK_EVENTS)
BPM_RANGE_SCHEMA = {
    "type": "string",
    "description": "Between which tempos the song's is, as in `88-175`, where that is "
    "known: a tempo is told at half or double speed if it is there then.",
}
DEFAULT_MODEL = "auto"
DEFAULT_FORMAT = "wav"


def choose(
    fields: Sequence[tuple[str, str]], models: Sequence[ModelInfo], default_model: str
) -> Options:
    """Return what the fields ask for; InvalidField, with the choices, for what is not.

    An empty field is as good as none: forms in browsers send those.
    """
    given = {name: _values(fields, name) for name in _OPTIONS}
    model = _model(_single(given, "model"), models, default_model)
    format = _format(_single(given, "format"))
    priority = _priority(_single(given, "priority"))
    stems = _stems(given["stems"], model)
    return Options(model.name, stems, format, priority, bpm_range(fields))


def bpm_range(fields: Sequence[tuple[str, str]]) -> tuple[float, float] | None:
    """Return the tempos between which the fields say a song's is, if they do."""
    text = _single({BPM_RANGE: _values(fields, BPM_RANGE)}, BPM_RANGE)
    try:
        return reports.bpm_range(text) if text else None
    except InvalidInput as err:
        raise InvalidField(err.detail, BPM_RANGE) from err


def webhook(
    fields: Sequence[tuple[str, str]], check: Callable[[str], object] | None
) -> Webhook | None:
    """Return whom the fields ask to tell of the job's end, if anybody.

    `check` raises RefusedUrl for an address that is not told; None refuses all.
    """
    urls = [text.strip() for name, text in fields if name == WEBHOOK_URL]
    urls = [url for url in dict.fromkeys(urls) if url]
    names = _values(fields, WEBHOOK_EVENTS)
    if len(urls) > 1:
        raise InvalidField(f"Give one {WEBHOOK_URL}, not {len(urls)}.", WEBHOOK_URL)
    if names and not urls:
        raise InvalidField(f"Give a {WEBHOOK_URL} with these events.", WEBHOOK_EVENTS)
    if not urls:
        return None
    if check is None:
        raise InvalidField(
            "This server sends no webhooks until its operator sets "
            "STEMSERVE_WEBHOOK_SECRETS, for they must be signed. Leave "
            f"{WEBHOOK_URL} out, and poll the job.",
            WEBHOOK_URL,
        )
    try:
        check(urls[0])
    except RefusedUrl as err:
        raise InvalidField(err.detail, WEBHOOK_URL) from err
    return Webhook(urls[0], _events(names) or tuple(Event))


def _events(names: list[str]) -> tuple[Event, ...]:
    unknown = [name for name in names if name not in list(Event)]
    if unknown:
        raise InvalidField(
            f"There is no event {unknown[0][:40]!r}. Choose from: {', '.join(Event)}.",
            WEBHOOK_EVENTS,
        )
    return tuple(event for event in Event if event in names)


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
        if model.name == wanted and model.refusal:
            raise InvalidField(model.refusal, "model")
        if model.name == wanted:
            return model
    choices = ", ".join(model.name for model in models if not model.refusal)
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
