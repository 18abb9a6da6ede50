"""The environment variables that a manifest gives to a container."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import environ
from typing import Any

from deployments.checking.document import Document
from deployments.checking.fault import Fault, Place, at, hint, written
from deployments.nodes import DATABASE, STORAGE
from serve_app.settings import all_variables, environment

# For values that only a Secret of the cluster has.
_UNKNOWN = {
    DATABASE: "postgresql://unknown/unknown",
    "DATABASE_URL": "postgresql://unknown/unknown",
    STORAGE: "s3://unknown",
}


@dataclass(frozen=True)
class Variable:
    """A variable and its place; the value is None if a Secret has it."""

    value: str | None
    document: Document
    place: Place


class Resources:
    """The ConfigMaps and Secrets of a file, by kind and name."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = {
            (each.data["kind"], str(at(each.data, ("metadata", "name")))): each
            for each in documents
            if at(each.data, ("kind",)) in ("ConfigMap", "Secret")
        }

    def variables(self, kind: str, name: Any) -> Mapping[str, Variable] | None:
        """Return the values of a resource by their keys; None if it isn't here."""
        document = self._documents.get((kind, str(name)))
        if document is None:
            return None
        return {
            str(key): Variable(
                str(value) if kind == "ConfigMap" else None, document, (section, key)
            )
            for section in ("data", "stringData")
            for key, value in _mapping(document.data, section).items()
        }


def variables(
    document: Document, container: Place, resources: Resources
) -> Mapping[str, Variable]:
    """Return the variables of a container, as far as the file tells them."""
    given = at(document.data, container)
    found: dict[str, Variable] = {}
    for each in _sources(given, resources):
        found |= each or {}
    for index, each in enumerate(_items(given, "env")):
        name, place = each.get("name"), (*container, "env", index)
        source = _mapping(each, "valueFrom")
        ref = _mapping(source, "configMapKeyRef")
        known = resources.variables("ConfigMap", ref.get("name")) or {}
        there = known.get(str(ref.get("key")))
        if isinstance(name, str):
            plain = str(each.get("value", ""))
            value = (there.value if there else None) if source else plain
            found[name] = Variable(value, document, place)
    return found


def texts(given: Mapping[str, Variable]) -> Mapping[str, str | None]:
    """Return the values of variables; None for those that only a Secret has."""
    return {name: variable.value for name, variable in given.items()}


def is_whole(document: Document, container: Place, resources: Resources) -> bool:
    """Whether the file has all that the variables of a container come from."""
    return None not in _sources(at(document.data, container), resources)


def reference_faults(
    document: Document, container: Place, resources: Resources
) -> Iterator[Fault]:
    """Yield the keys that a container wants and a resource of the file lacks."""
    for index, each in enumerate(_items(at(document.data, container), "env")):
        source = _mapping(each, "valueFrom")
        for field, kind in (
            ("configMapKeyRef", "ConfigMap"),
            ("secretKeyRef", "Secret"),
        ):
            ref = _mapping(source, field)
            known = resources.variables(kind, ref.get("name"))
            key = str(ref.get("key"))
            if known is None or key in known or ref.get("optional"):
                continue
            place = (*container, "env", index, "valueFrom", field, "key")
            yield Fault(
                place,
                f"`{written(place)}` is {key!r}, which the {kind} `{ref.get('name')}` "
                f"does not have.{hint(key, known)}",
            )


def unknown_variables(
    given: Mapping[str, str | None],
) -> Iterator[tuple[str, str]]:
    """Yield the variables named `STEMSERVE_…` that are no settings, and a sentence."""
    known = all_variables()
    for name, text in given.items():
        # A value, because an empty variable counts as unset.
        for line in environment.warnings(known, {name: text or "unknown"}):
            yield name, line


@contextmanager
def applied(given: Mapping[str, str | None]) -> Iterator[None]:
    """Have these variables, and no other setting, in the environment of the block."""
    known = set(all_variables())
    saved = {name: value for name, value in environ.items() if name.upper() in known}
    for name in saved:
        del environ[name]
    for name, text in given.items():
        value = _UNKNOWN.get(name) if text is None else text
        if name in known and value is not None:
            environ[name] = value
    try:
        yield
    finally:
        for name in known & environ.keys():
            del environ[name]
        environ.update(saved)


def _sources(
    container: Any, resources: Resources
) -> Sequence[Mapping[str, Variable] | None]:
    """Return the variables of each of a container's `envFrom`; None if not here."""
    return [
        resources.variables(kind, source[field].get("name"))
        for source in _items(container, "envFrom")
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret"))
        if isinstance(source.get(field), dict)
    ]


def _items(given: Any, field: str) -> Sequence[Mapping[str, Any]]:
    listed = given.get(field) if isinstance(given, dict) else None
    items = listed if isinstance(listed, list) else ()
    return [each if isinstance(each, dict) else {} for each in items]


def _mapping(given: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = given.get(field)
    return found if isinstance(found, dict) else {}
