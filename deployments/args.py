"""The arguments of an application in a Serve config. Unknown names are errors."""

from collections.abc import Mapping
from typing import Any

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from deployments import system
from deployments.pool import Pool, RequestPool, Strict, over_defaults
from deployments.system import System
from serve_app.settings import Settings
from serve_app.settings import check as settings_check

DEFAULT_SYSTEM = "stems"
# These pools may also stand at the top, where older configs have them.
POOLS_OF_STEMS = ("separator", "analyzer")


class AppArgs(Strict):
    """The arguments of `deployments.app:build`.

    `settings` holds fields of `serve_app.settings.Settings`; those left out come from
    the environment's `STEMSERVE_*`. `systems` names the systems to run, each with a
    section that has the fields of its `Args`; the pools of `stems` may also stand
    outside their section.
    """

    settings: dict[str, Any] = Field(default_factory=dict)
    # Most requests wait for a job or send a file; few threads do the work. Requests
    # may queue, because the API itself refuses excess ones early, with a clear error.
    # An update starts one more of a few replicas, so that a single one leaves no gap.
    api: RequestPool = Pool(
        max_ongoing_requests=512,
        max_queued_requests=1024,
        graceful_shutdown_timeout_s=120,
        max_surge_percent=25,
    )
    dispatcher: RequestPool = Pool(
        max_ongoing_requests=1000,
        graceful_shutdown_timeout_s=60,
        max_surge_percent=25,
    )
    systems: dict[str, dict[str, Any]] = Field(
        default={DEFAULT_SYSTEM: {}}, min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_pools(cls, given: Any) -> Any:
        """Fill in the default systems; move the pools of `stems` into their section."""
        if not isinstance(given, dict):
            return given
        if given.get("systems") is None:
            given = {**given, "systems": _default_systems(given.get("settings"))}
        outside = {name: given[name] for name in POOLS_OF_STEMS if name in given}
        systems = given.get("systems") or {}
        if not outside or not isinstance(systems, dict):
            return given
        inside = systems.get(DEFAULT_SYSTEM) or {}
        if not isinstance(inside, dict):
            return given
        rest = {name: value for name, value in given.items() if name not in outside}
        return {**rest, "systems": {**systems, DEFAULT_SYSTEM: {**outside, **inside}}}

    @field_validator("systems", mode="before")
    @classmethod
    def _empty_sections(cls, given: Any) -> Any:
        """Replace a section without a value (`stems:`) with an empty one."""
        if not isinstance(given, dict):
            return given
        return {name: {} if value is None else value for name, value in given.items()}

    @field_validator("api", "dispatcher", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any, info: ValidationInfo) -> Any:
        return over_defaults(cls, given, info)

    def resolved_settings(self) -> Settings:
        """Return the settings of these arguments and, for the rest, the environment.

        Raises WrongSettings, a ValueError, for invalid ones. The settings of systems
        that are not in the application are checked for their types only.
        """
        rules: dict[str, settings_check.Rule] = {}
        for name in self.systems:
            rules |= system.settings_rules(system.find(name))
        return settings_check.read(self.settings, rules)

    @property
    def has_goals(self) -> bool:
        """Whether a pool of a system scales with its jobs."""
        return any(
            isinstance(pool, Pool) and pool.goal_seconds is not None
            for name, section in self.systems.items()
            for _, pool in _found(name).Args.model_validate(section)
        )

    def made(self) -> Mapping[str, System]:
        """Return the systems by name, created from their sections.

        Raises pydantic's ValidationError for an invalid section, and ValueError for an
        unknown system.
        """
        made = {}
        for name, section in self.systems.items():
            found = _found(name)
            try:
                made[name] = found(found.Args.model_validate(section))
            except ValidationError as error:
                raise _below(("systems", name), error) from None
        return made


def _default_systems(settings: Any) -> dict[str, dict[str, Any]]:
    """Return empty sections of the systems that run if none are named."""
    try:
        found = Settings(**(settings or {}))
    except (ValidationError, TypeError):
        # Invalid settings are reported when all of them are read.
        return {DEFAULT_SYSTEM: {}}
    return {name: {} for name in found.default_systems}


def _found(name: str) -> type[System]:
    """Return the system of that name; ValueError if there is none that is valid."""
    try:
        found = system.find(name)
    except ImportError as error:
        raise ValueError(f"system `{name}` can't be imported: {error}") from error
    if not hasattr(found, "Args"):
        raise ValueError(f"system `{name}` is invalid: its SYSTEM has no `Args`")
    return found


def _below(section: tuple[str, ...], error: ValidationError) -> ValidationError:
    """Return the error of a section with its place in the whole config."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(each["type"], each["msg"]),
            loc=(*section, *each["loc"]),
            input=each["input"],
        )
        for each in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, details)


def checked(given: Any) -> AppArgs:
    """Return the arguments in a config, after checking them and the systems' sections.

    Raises ValidationError, or ValueError, if they are not valid.
    """
    args = given if isinstance(given, AppArgs) else AppArgs.model_validate(given)
    args.made()
    return args
