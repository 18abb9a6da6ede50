"""Render the overlays of `configs/kuberay` and check every object in them.

    python -m tools.check_manifests           # all overlays, and their Secrets
    python -m tools.check_manifests FILE...   # files that are rendered already

Prints a line for each fault and exits with 1 if there is one. kubectl renders them;
`stemserve check` looks at Ray's objects, Serve's config and ours, Gateways and
monitors; kubernetes-validate at those of Kubernetes itself.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import kubernetes_validate
import yaml

from deployments.checking import check, document, schema
from deployments.checking.document import Document, InvalidYaml
from deployments.checking.fault import Fault
from deployments.checking.schema import faults_of

MANIFESTS = Path(__file__).parents[1] / "configs" / "kuberay"
# By name: an overlay, and components that a user adds to it.
ARCHIVE = {
    "prod with the archive": ("prod", "archive", "archive-gateway"),
    "prod-ingress with the archive": ("prod-ingress", "archive", "archive-ingress"),
}
OVERLAYS = tuple(sorted(path.name for path in (MANIFESTS / "overlays").iterdir()))
ALL = (*OVERLAYS, *ARCHIVE)
EXAMPLE = MANIFESTS / "secrets.example.yaml"
# The newest one that kubernetes-validate knows at the time of writing.
KUBERNETES = "1.37"
KUBECTL = os.environ.get("KUBECTL", "kubectl")
_KIND = "\nkind: "


def rendered(name: str) -> str:
    """Return the objects of one of ALL, and the Secrets that operators make for it."""
    overlay, *components = ARCHIVE.get(name, (name,))
    with TemporaryDirectory() as folder:
        # Kustomize takes no absolute paths.
        root = os.path.relpath(MANIFESTS, os.path.realpath(folder))
        own = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "stemserve",
            "resources": [f"{root}/overlays/{overlay}"],
            "components": [f"{root}/components/{each}" for each in components],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(own))
        built = subprocess.run(
            [KUBECTL, "kustomize", folder], check=True, capture_output=True, text=True
        )
    return f"{built.stdout}---\n{EXAMPLE.read_text()}"


def faults(text: str) -> list[tuple[int, str]]:
    """Return the line and the description of each fault, in order."""
    found = set(_of_ray(text))
    with suppress(InvalidYaml):
        for each in document.read(text):
            found |= {(each.line(fault.place), fault.text) for fault in _core(each)}
    return sorted(found)


def _of_ray(text: str) -> Iterator[tuple[int, str]]:
    """Yield what `stemserve check` finds."""
    with suppress(check.NothingToCheck):
        yield from ((each.line, each.text) for each in check.findings(text))


def _core(of: Document) -> Iterator[Fault]:
    """Yield the faults of an object of Kubernetes itself."""
    if not isinstance(of.data, dict) or of.data.get("kind") in schema.known_kinds():
        return
    try:
        kubernetes_validate.validate(of.data, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield from faults_of(error)
    except kubernetes_validate.SchemaNotFoundError as error:
        yield Fault(("kind",), f"unknown kind: {error}")


def main(files: Sequence[Path]) -> int:
    """Check files, or else all overlays, and return the exit status."""
    texts: Mapping[str, str] = (
        {str(path): path.read_text() for path in files}
        if files
        else {name: rendered(name) for name in ALL}
    )
    status = 0
    for name, text in texts.items():
        for line, fault in faults(text):
            status = 1
            print(f"{name}:{line}: {fault}")
        print(f"{name}: {text.count(_KIND)} objects checked")
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    sys.exit(main(parser.parse_args().files))
