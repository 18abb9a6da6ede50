"""Check a file of Serve configs or Kubernetes manifests, before it is deployed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.checking import document as documents
from deployments.checking import manifest_environment, ray_service, schema, serve_config
from deployments.checking.document import Document, InvalidYaml
from deployments.checking.fault import Fault, at, hint, shown
from deployments.checking.manifest_environment import Resources, Variable
from deployments.checking.ray_service import SERVE_CONFIG

# Kinds of KubeRay that this module knows nothing of.
_OTHER_KINDS = ("RayCluster", "RayJob", "RayCronJob")


class NothingToCheck(ValueError):
    """A file has neither a Serve config nor a manifest of a kind that is known."""


@dataclass(frozen=True, order=True)
class Finding:
    """A fault at a line of the file."""

    line: int
    text: str


def findings(text: str) -> Sequence[Finding]:
    """Return what is wrong in a text, by lines.

    Only the text counts: not the environment, directories and packages of this machine.
    Raises NothingToCheck.
    """
    try:
        read = documents.read(text)
    except InvalidYaml as error:
        return [Finding(error.line, str(error))]
    resources = Resources(read)
    known = [each for each in read if _is_checked(each.data)]
    if not known:
        raise NothingToCheck("there is no Serve config and no RayService in it")
    found = {
        finding
        for each in known
        for finding in (*_at_lines(each, each.faults), *_of(each, resources))
    }
    return sorted(found)


def _is_manifest(data: Any) -> bool:
    return all(isinstance(at(data, (key,)), str) for key in ("apiVersion", "kind"))


def _is_checked(data: Any) -> bool:
    if not _is_manifest(data):
        return True
    is_of_ray = data["apiVersion"].startswith("ray.io/")
    return data["kind"] in schema.known_kinds() or (
        is_of_ray and data["kind"] not in _OTHER_KINDS
    )


def _of(document: Document, resources: Resources) -> Iterator[Finding]:
    data = document.data
    if not _is_manifest(data):
        with manifest_environment.applied({}):
            yield from _at_lines(document, serve_config.faults(data))
        return
    known = schema.known_kinds()
    if data["kind"] not in known:
        said = f"unknown kind {shown(data['kind'])}.{hint(data['kind'], known)}"
        yield from _at_lines(document, [Fault(("kind",), said)])
        return
    yield from _at_lines(document, schema.faults(data))
    if data["kind"] == "RayService":
        yield from _of_ray_service(document, resources)


def _of_ray_service(document: Document, resources: Resources) -> Iterator[Finding]:
    yield from _at_lines(document, ray_service.faults(document))
    places = ray_service.containers(document.data)
    for place in places:
        missing = manifest_environment.reference_faults(document, place, resources)
        yield from _at_lines(document, missing)
        given = manifest_environment.variables(document, place, resources)
        texts = manifest_environment.texts(given)
        for name, line in manifest_environment.unknown_variables(texts):
            variable = given[name]
            yield Finding(variable.document.line(variable.place), line)
    # Serve reads the arguments of an application on the head.
    head = places[0] if places else ()
    given = manifest_environment.variables(document, head, resources)
    is_whole = manifest_environment.is_whole(document, head, resources)
    nodes = ray_service.most_nodes(document.data) if is_whole else 1
    yield from _of_serve_config(document, given, nodes)


def _of_serve_config(
    document: Document, given: Mapping[str, Variable], nodes: int
) -> Iterator[Finding]:
    """Yield the faults of the Serve config inside a RayService."""
    text = at(document.data, SERVE_CONFIG)
    if not isinstance(text, str):
        return
    line, block_line = document.line(SERVE_CONFIG), document.block_line(SERVE_CONFIG)
    try:
        inner = documents.read(text, block_line or line)
    except InvalidYaml as error:
        yield Finding(error.line if block_line else line, f"serveConfigV2: {error}")
        return
    if not inner:
        yield Finding(line, "`spec.serveConfigV2` is empty: it must be a Serve config.")
    for each in inner:
        with manifest_environment.applied(manifest_environment.texts(given)):
            faults = [*each.faults, *serve_config.faults(each.data, nodes)]
        for fault in faults:
            if variable := given.get(fault.variable):
                yield Finding(variable.document.line(variable.place), fault.text)
            else:
                yield Finding(
                    each.line(fault.place) if block_line else line, fault.text
                )


def _at_lines(document: Document, faults: Iterable[Fault]) -> Iterator[Finding]:
    for each in faults:
        yield Finding(document.line(each.place), each.text)
