"""The options of `POST /separate` and `POST /analyze`, each described once.

The parsers of forms and JSON bodies, OpenAPI and the command line are made from these.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from serve_app.audio.formats import FORMATS
from serve_app.errors import InvalidField
from serve_app.webhooks.target import WebhookEvent


class Priority(StrEnum):
    """The priority of a job, while it waits and while it runs."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """The sort key of waiting jobs: 0 starts first."""
        return list(Priority).index(self)

    @property
    def turns(self) -> int:
        """How many windows a running job gets for each window of a low one."""
        return {Priority.HIGH: 9, Priority.NORMAL: 3, Priority.LOW: 1}[self]


@dataclass(frozen=True)
class Option:
    """A text field of a form and its values: any, if there are no `choices`.

    Values are read in lower case and split at commas, except those of an `is_url`. Only
    an `is_list` takes several. Empty values are left out: browsers send empty fields.
    """

    name: str
    description: str
    example: str
    default: str = ""
    choices: tuple[str, ...] = ()
    is_list: bool = False
    is_url: bool = False

    def values(self, fields: Sequence[tuple[str, str]]) -> list[str]:
        """Return the different values in the fields of a form, in their order.

        Raises InvalidField for a value that is not allowed, or for too many.
        """
        texts = [text for name, text in fields if name == self.name]
        if not self.is_url:
            texts = [value.lower() for text in texts for value in text.split(",")]
        values = [value for value in dict.fromkeys(map(str.strip, texts)) if value]
        if len(values) > 1 and not self.is_list:
            raise InvalidField(
                f'"{self.name}" must be one value, got {len(values)}.', self.name
            )
        for value in values:
            if self.choices and value not in self.choices:
                raise self.not_a_choice(value, self.choices)
        return values

    def value(self, fields: Sequence[tuple[str, str]]) -> str:
        """Return the one value in the fields of a form, or the default."""
        return next(iter(self.values(fields)), self.default)

    def not_a_choice(self, value: str, choices: Collection[str]) -> InvalidField:
        """Return the error for a value that is not one of the choices."""
        return InvalidField(
            f'"{self.name}" must be one of {", ".join(choices)}; got {value[:40]!r}.',
            self.name,
        )

    @property
    def help(self) -> str:
        """The description for the command line."""
        parts = [self.description]
        if self.choices:
            parts.append(f"One of {', '.join(self.choices)}.")
        if self.is_list:
            parts.append("Separate several by commas.")
        if self.default:
            parts.append(f"Default: {self.default}.")
        return " ".join(parts)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema for OpenAPI.

        Each has a default, even if empty: Swagger UI sends invented values for others.
        """
        value: dict[str, Any] = {"type": "string"}
        if self.choices:
            value["enum"] = list(self.choices)
        if self.is_url:
            value["format"] = "uri"
        if not self.is_list:
            return {
                **value,
                "default": self.default,
                "description": self.description,
            }
        return {
            "type": "array",
            "items": value,
            "default": [],
            "description": f"{self.description} For several, repeat the field (in "
            "JSON, give a list) or separate them by commas.",
        }


MODEL = Option(
    "model",
    "Separation model, as listed by `GET /models` and `stemserve models list`; `auto` "
    "is the server's default.",
    example="auto",
    default="auto",
)
STEMS = Option(
    "stems",
    "Stems to make: some of the model's, or `vocals` and `accompaniment` (everything "
    "but the vocals), as in `vocals,drums`. All of the model's when left out.",
    example="vocals,drums",
    is_list=True,
)
FORMAT = Option(
    "format",
    "File format of the stems.",
    example="flac",
    default="wav",
    choices=tuple(FORMATS),
)
PRIORITY = Option(
    "priority",
    "Rank among the server's jobs. Those of a higher priority start first, and get "
    "three times as much of their client's part of a device.",
    example="high",
    default=Priority.NORMAL.value,
    choices=tuple(each.value for each in Priority),
)
BPM_RANGE = Option(
    "bpm_range",
    "Lowest and highest tempo that the song can have, as in `88-175`. A tempo outside "
    "is reported at half or double speed if that is inside.",
    example="88-175",
)
WEBHOOK_URL = Option(
    "webhook_url",
    "URL that gets a signed POST (Standard Webhooks) when the job ends.",
    example="https://example.com/hook",
    is_url=True,
)
WEBHOOK_EVENTS = Option(
    "webhook_events",
    "Events that are sent to `webhook_url`. All of them when left out.",
    example=f"{WebhookEvent.COMPLETED.value},{WebhookEvent.FAILED.value}",
    choices=tuple(each.value for each in WebhookEvent),
    is_list=True,
)

SEPARATE = (MODEL, STEMS, FORMAT, PRIORITY, BPM_RANGE, WEBHOOK_URL, WEBHOOK_EVENTS)
# The webhook is for analysis jobs, `?async=true`.
ANALYZE = (BPM_RANGE, WEBHOOK_URL, WEBHOOK_EVENTS)


def names(options: Sequence[Option]) -> tuple[str, ...]:
    """Return the names of the options."""
    return tuple(option.name for option in options)
