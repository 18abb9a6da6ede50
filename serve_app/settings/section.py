"""What all sections of the settings have in common."""

import os
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from serve_app.settings import environment

MIB = 1024**2


def either(*names: str) -> AliasChoices:
    """Accept the field's own variable, or those of older deployments."""
    return AliasChoices(*names)


def variables(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Return the environment variables of a field, in order of precedence."""
    if isinstance(field.validation_alias, AliasChoices):
        choices = field.validation_alias.choices
        return tuple(choice for choice in choices if isinstance(choice, str))
    return (f"{environment.PREFIX}{name.upper()}",)


def split(value: Any, separator: str | None) -> Any:
    """Return the items of a text, split at a separator or, if it is None, at spaces.

    Other values are returned unchanged.
    """
    if not isinstance(value, str):
        return value
    items = (item.strip() for item in value.split(separator))
    return tuple(item for item in items if item)


class _Source(PydanticBaseSettingsSource):
    """Reads arguments, and environment variables for settings without an argument.

    An empty variable counts as unset: then the setting's next variable is read.
    """

    def __init__(
        self, settings_cls: type[BaseSettings], given: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._given = given
        self._environ = environment.cleaned(os.environ)

    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[Any, str, bool]:
        variable = environment.first_set(variables(field_name, field), self._environ)
        return self._environ.get(variable or ""), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = dict(self._given())
        for name, field in self.settings_cls.model_fields.items():
            # Pydantic passes an argument under the name of the field's first variable.
            given = [values.pop(key) for key in variables(name, field) if key in values]
            if given:
                values[name] = given[0]
            elif name not in values:
                value, _, _ = self.get_field_value(field, name)
                if value is not None:
                    values[name] = value
        return values


class Section(BaseSettings):
    """Settings from arguments, and from environment variables `STEMSERVE_<FIELD>`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        # Errors name the field and not the variable.
        loc_by_alias=False,
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only arguments and the environment."""
        return (_Source(settings_cls, init_settings),)
