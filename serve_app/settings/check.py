"""Validation of all settings before anything starts."""

import errno
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from serve_app.errors import RefusedUrl
from serve_app.outbound import urls
from serve_app.outbound.urls import SCHEMES
from serve_app.settings import Settings, all_variables, environment
from serve_app.settings.section import variables
from serve_app.storage import addresses
from serve_app.webhooks import signing

_LONGEST_SHOWN = 80
_SHORTEST_SECRET = 32
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:.]+")
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\s]+")
# The parts of a URL that may contain a password.
_USER = re.compile(r"(://)[^/@\s]*@")
_QUERY = re.compile(r"\?\S*")
# OpenTelemetry's variables of the protocol, and the one that is supported.
_OTLP_PROTOCOLS = (
    *("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
)
_OTLP_HTTP = "http/protobuf"
_WITHOUT_NONE: Mapping[Any, Any] = {int | None: int, float | None: float}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}

# Raises ValueError, with what is allowed.
Rule = Callable[[Settings], None]
_NO_RULES: Mapping[str, Rule] = {}


class WrongSettings(ValueError):
    """Invalid settings; `args` has a line for each."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class WrongHere(ValueError):
    """A setting does not fit this machine: its directories, its packages."""


def read(
    given: Mapping[str, Any] | None = None, rules: Mapping[str, Rule] = _NO_RULES
) -> Settings:
    """Return the settings: those `given` by a config, and those of the environment.

    `rules` are the checks of systems, by the names of their settings. Raises
    WrongSettings, with the allowed values of each invalid setting.
    """
    config = given or {}
    try:
        settings = Settings(**config)
    except ValidationError as error:
        lines = [line for _, line in _unreadable(error, config)]
        raise WrongSettings(*lines) from None
    problems = _contradictions(settings, config, {**_RULES, **rules})
    if lines := [line for _, line in problems]:
        raise WrongSettings(*lines)
    return settings


def faults(
    given: Mapping[str, Any], rules: Mapping[str, Rule] = _NO_RULES
) -> Iterator[tuple[str, str]]:
    """Yield the name of each invalid setting, and a line about it.

    For settings of other machines: what only this machine lacks is no fault.
    """
    try:
        settings = Settings(**given)
    except ValidationError as error:
        yield from _unreadable(error, given)
        return
    yield from _contradictions(settings, given, {**_RULES, **rules}, is_here=False)


def warnings() -> list[str]:
    """Return a line for each `STEMSERVE_*` of the environment without an effect."""
    return environment.warnings(all_variables(), os.environ)


def origin(name: str, config: Mapping[str, Any]) -> str:
    """Return the source of a setting's value: `config`, a variable or `default`."""
    if name in config:
        return "config"
    names = variables(name, Settings.model_fields[name])
    return environment.first_set(names, environment.cleaned(os.environ)) or "default"


def _unreadable(
    error: ValidationError, config: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield each setting that fails the validation of Settings, and a line."""
    seen = set()
    for each in error.errors(include_url=False):
        name = str(each["loc"][0])
        if name in seen:
            continue
        seen.add(name)
        field = Settings.model_fields.get(name)
        if field is None:
            meant = environment.nearest(name, Settings.model_fields)
            hint = f" Did you mean {meant}?" if meant else ""
            yield name, f"settings.{name} in the config is not a setting.{hint}"
        elif each["type"] == "value_error":
            # Raised by a validator of Settings.
            said = _said(name, config, each["input"])
            yield name, f"{said}: {each['ctx']['error']}".rstrip(".") + "."
        else:
            wanted = _allowed(field) or str(each["msg"])
            yield name, f"{_said(name, config, each['input'])} must be {wanted}."


def _allowed(field: FieldInfo) -> str:
    """Return a description of a field's allowed values, or "" if there is none."""
    kind = _WITHOUT_NONE.get(field.annotation, field.annotation)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if kind is bool:
        return "true or false"
    if kind not in (int, float):
        return ""
    bounds = [
        f"{words} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, words in _BOUNDS.items()
        if getattr(rule, name, None) is not None
    ]
    whole = "a whole number" if kind is int else "a number"
    return f"{whole}{' of ' if bounds else ''}{' and '.join(bounds)}"


def _contradictions(
    settings: Settings,
    config: Mapping[str, Any],
    rules: Mapping[str, Rule],
    *,
    is_here: bool = True,
) -> Iterator[tuple[str, str]]:
    """Yield each setting that breaks a rule, alone or with others, and a line."""
    for name, rule in rules.items():
        try:
            rule(settings)
        except ValueError as error:
            if is_here or not isinstance(error, WrongHere):
                yield name, f"{_said(name, config, getattr(settings, name))}: {error}."


def _said(name: str, config: Mapping[str, Any], value: Any) -> str:
    """Return a setting's name and value as they are written at their source."""
    source = origin(name, config)
    label = variables(name, Settings.model_fields[name])[0]
    if source == "config":
        label = f"settings.{name} in the config"
    elif source != "default":
        label = source
        value = os.environ.get(source, value)
    if _is_secret(name):
        return f"{label} (its value is secret)"
    return f"{label}={shown(value)}"


def _is_secret(name: str) -> bool:
    return "SecretStr" in str(Settings.model_fields[name].annotation)


def shown(value: Any) -> str:
    """Return a value for display: on one line, and without possible passwords."""
    if isinstance(value, tuple | list):
        value = " ".join(map(str, value))
    text = _QUERY.sub("?…", _USER.sub(r"\1…@", str(value).strip()))
    text = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def needs(package: str, extra: str) -> None:
    """Raise WrongHere unless `package` is installed, which comes with an extra."""
    if not _is_installed(package):
        raise WrongHere(
            f"{package} is not installed: run `pip install 'stemserve[{extra}]'`"
        )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        # The package that contains it is missing too.
        return False


def _check_database(settings: Settings) -> None:
    if settings.database_url is None:
        return
    # Imported here because the import takes a fifth of a second.
    from serve_app.database import engine

    address = engine.parsed(settings.effective_database_url)
    if address.get_backend_name() == "postgresql":
        needs("psycopg", "postgres")


def _check_storage(settings: Settings) -> None:
    _check_places(settings.storage)


def _check_buckets(settings: Settings) -> None:
    _check_places(settings.input_buckets, may_be_local=False)


def _check_places(found: Sequence[str], *, may_be_local: bool = True) -> None:
    for place in found:
        if may_be_local and addresses.is_directory(place):
            check_directory(Path(place))
            continue
        bucket = addresses.parsed(place)
        if bucket.endpoint_url is not None and not is_web(bucket.endpoint_url):
            raise ValueError("its endpoint_url must begin with http:// or https://")
        needs("boto3", "s3")


def _stores(settings: Settings) -> int:
    return len({place.partition("?")[0] for place in settings.effective_storage})


def _check_copies(settings: Settings) -> None:
    if settings.storage_copies > (stores := _stores(settings)):
        raise ValueError(
            f"must be at most {stores}, the number of stores in STEMSERVE_STORAGE"
        )


def _check_salt(settings: Settings) -> None:
    if _stores(settings) > 1 and not settings.storage_salt.get_secret_value():
        raise ValueError(
            "required, because STEMSERVE_STORAGE has several stores; set it to a "
            "secret, such as the output of `openssl rand -hex 32`"
        )


def _check_schemes(settings: Settings) -> None:
    if not set(settings.input_url_schemes) <= SCHEMES:
        raise ValueError(f"each must be one of {', '.join(sorted(SCHEMES))}")


def check_hosts(hosts: Sequence[str]) -> None:
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(
                f"{shown(host)} must be a host without scheme, port and path, such as "
                "example.com or *.example.com"
            )


def _check_allowed_hosts(settings: Settings) -> None:
    check_hosts([host for host in settings.allowed_hosts if host != "*"])


def _check_secrets(settings: Settings) -> None:
    signing.keys_of([each.get_secret_value() for each in settings.webhook_secrets])


def check_origins(origins: Sequence[str]) -> None:
    for each in origins:
        if not _ORIGIN.fullmatch(each):
            raise ValueError(
                f"{shown(each)} must be `*`, or an origin without a path, such as "
                "https://example.com or http://localhost:3000"
            )


def _check_tenant_header(settings: Settings) -> None:
    if settings.tenant_header and not _HEADER.fullmatch(settings.tenant_header):
        raise ValueError("must be the name of a header, such as X-Tenant")


def _check_long(secret: SecretStr | None) -> None:
    if secret is not None and len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise ValueError(
            f"must have at least {_SHORTEST_SECRET} characters, such as the output of "
            "`openssl rand -hex 32`"
        )


def _check_better_auth(settings: Settings) -> None:
    if settings.better_auth_url and not settings.jwks_url:
        _check_jwks(settings)


def _check_jwks_url(settings: Settings) -> None:
    if settings.jwks_url:
        _check_jwks(settings)


def _check_jwks(settings: Settings) -> None:
    try:
        urls.checked(settings.effective_jwks_url, settings.jwks_url_rules)
    except RefusedUrl as err:
        private = (
            ""
            if settings.allow_private_jwks
            else (
                " For plain http, another port or a private address, also set "
                "STEMSERVE_ALLOW_PRIVATE_JWKS=true"
            )
        )
        raise ValueError(f"{err.detail}{private}") from err


def _check_admin_key(settings: Settings) -> None:
    _check_long(settings.admin_key)
    key = "" if settings.admin_key is None else settings.admin_key.get_secret_value()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("must be ASCII characters without spaces: it goes in a header")


def _check_log_level(settings: Settings) -> None:
    levels = logging.getLevelNamesMapping()
    if settings.log_level.upper() not in levels:
        raise ValueError("must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL")


def _check_traces(settings: Settings) -> None:
    if settings.traces == "off":
        return
    needs("opentelemetry.exporter.otlp.proto.http", "traces")
    for name in _OTLP_PROTOCOLS:
        if (protocol := os.environ.get(name, _OTLP_HTTP)) not in (_OTLP_HTTP, ""):
            raise WrongHere(
                f"only {_OTLP_HTTP} is supported: set {name}={_OTLP_HTTP}, and the "
                f"endpoint to the collector's port for it, not {shown(protocol)}"
            )


def check_directory(path: Path) -> None:
    """Raise WrongHere unless `path` is, or can become, a writable directory."""
    standing = path.absolute()
    while not standing.exists() and standing != standing.parent:
        standing = standing.parent
    if not standing.is_dir():
        raise WrongHere(f"{standing} is not a directory")
    if not os.access(standing, os.W_OK | os.X_OK) or not _takes_files(standing):
        raise WrongHere(f"{standing} is not writable")


def _check_temp_dir(settings: Settings) -> None:
    if settings.temp_dir is not None:
        check_directory(settings.working_dir)


def _takes_files(directory: Path) -> bool:
    """Return whether files can be created: `os.access` is wrong for root in /proc."""
    try:
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError as error:
        # A full disk is not an error of the setting.
        return error.errno in (errno.ENOSPC, errno.EDQUOT)


def is_web(url: str) -> bool:
    """Whether `url` is an http or https URL with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


_RULES: Mapping[str, Rule] = {
    "data_dir": lambda settings: check_directory(settings.data_dir),
    "database_url": _check_database,
    "storage": _check_storage,
    "storage_copies": _check_copies,
    "storage_salt": _check_salt,
    "temp_dir": _check_temp_dir,
    "input_url_schemes": _check_schemes,
    "input_url_hosts": lambda settings: check_hosts(settings.input_url_hosts),
    "input_buckets": _check_buckets,
    "tenant_header": _check_tenant_header,
    "admin_key": _check_admin_key,
    "access_secret": lambda settings: _check_long(settings.access_secret),
    "better_auth_url": _check_better_auth,
    "jwks_url": _check_jwks_url,
    "webhook_secrets": _check_secrets,
    "webhook_hosts": lambda settings: check_hosts(settings.webhook_hosts),
    "cors_origins": lambda settings: check_origins(settings.cors_origins),
    "allowed_hosts": _check_allowed_hosts,
    "log_level": _check_log_level,
    "traces": _check_traces,
}
