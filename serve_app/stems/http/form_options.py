"""Options of a song's job, read from the text fields of a form."""

from collections.abc import Callable, Sequence

from serve_app.errors import InvalidField, InvalidInput, RefusedUrl
from serve_app.stems import reports
from serve_app.stems.http.services import ModelInfo
from serve_app.stems.options import (
    BPM_RANGE,
    FORMAT,
    MODEL,
    PRIORITY,
    STEMS,
    WEBHOOK_EVENTS,
    WEBHOOK_URL,
    Priority,
)
from serve_app.stems.request import ACCOMPANIMENT, VOCALS, Options
from serve_app.webhooks.target import Webhook, WebhookEvent

Fields = Sequence[tuple[str, str]]


def choose(fields: Fields, models: Sequence[ModelInfo], default_model: str) -> Options:
    """Return the options in `fields`; raises InvalidField, which names the choices."""
    model = _model(MODEL.value(fields), models, default_model)
    return Options(
        model.name,
        _stems(STEMS.values(fields), model),
        FORMAT.value(fields),
        Priority(PRIORITY.value(fields)),
        bpm_range(fields),
    )


def bpm_range(fields: Fields) -> tuple[float, float] | None:
    """Return the lowest and the highest tempo that the song can have, or None."""
    text = BPM_RANGE.value(fields)
    try:
        return reports.bpm_range(text) if text else None
    except InvalidInput as err:
        raise InvalidField(err.detail, BPM_RANGE.name) from err


def webhook(fields: Fields, check: Callable[[str], object] | None) -> Webhook | None:
    """Return the webhook for the job's end, or None.

    `check` raises RefusedUrl for an address that is not allowed; if it is None, the
    server sends no webhooks.
    """
    url, names = WEBHOOK_URL.value(fields), WEBHOOK_EVENTS.values(fields)
    if not url:
        if names:
            raise InvalidField(
                f'"{WEBHOOK_EVENTS.name}" needs a "{WEBHOOK_URL.name}".',
                WEBHOOK_EVENTS.name,
            )
        return None
    if check is None:
        raise InvalidField(
            "This server sends no webhooks until its operator sets "
            "STEMSERVE_WEBHOOK_SECRETS, which sign them. Leave out "
            f'"{WEBHOOK_URL.name}" and poll the job.',
            WEBHOOK_URL.name,
        )
    try:
        check(url)
    except RefusedUrl as err:
        raise InvalidField(err.detail, WEBHOOK_URL.name) from err
    return Webhook(
        url, tuple(each for each in WebhookEvent if each in (names or WebhookEvent))
    )


def _model(name: str, models: Sequence[ModelInfo], default_model: str) -> ModelInfo:
    wanted = default_model if name == MODEL.default else name
    for model in models:
        if model.name == wanted and model.refusal:
            raise InvalidField(model.refusal, MODEL.name)
        if model.name == wanted:
            return model
    raise MODEL.not_a_choice(
        wanted, [model.name for model in models if not model.refusal]
    )


def _stems(names: list[str], model: ModelInfo) -> tuple[str, ...]:
    if not names:
        return model.sources
    has_accompaniment = VOCALS in model.sources
    choices = (*model.sources, *([ACCOMPANIMENT] if has_accompaniment else []))
    unknown = [name for name in names if name not in choices]
    if unknown:
        raise InvalidField(
            f"There is no stem {unknown[0][:40]!r} in model {model.name}. "
            f"Choose from: {', '.join(choices)}.",
            STEMS.name,
        )
    if ACCOMPANIMENT in names and not set(names) <= {VOCALS, ACCOMPANIMENT}:
        raise InvalidField(
            f"{ACCOMPANIMENT} is everything but the {VOCALS}: choose it alone or with "
            f"{VOCALS}, or choose from: {', '.join(model.sources)}.",
            STEMS.name,
        )
    order = (VOCALS, ACCOMPANIMENT) if ACCOMPANIMENT in names else model.sources
    return tuple(name for name in order if name in names)
