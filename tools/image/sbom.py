"""Write the bill of materials of an image: its packages, as CycloneDX 1.6 in JSON.

    python -m tools.image.sbom ROOT >sbom.json

ROOT has the files of the image, as `docker export` or `scripts/try_image.sh` writes
them.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

_PACKAGES = "opt/stemserve/lib/python3*/site-packages"
_DPKG_FORMAT = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"
# Some packages have the whole text in this field.
_LONGEST_LICENCE = 60


def of_root(root: Path) -> str:
    """Return the bill of materials of an image with the files in `root`.

    Raises ValueError if ROOT has no such packages, or if the result is not valid.
    """
    python, debian = list(_python_packages(root)), list(_debian_packages(root))
    if not python or not debian:
        raise ValueError(f"{root} has no packages in {_PACKAGES}, or none of Debian's.")
    bom = Bom(components=[*python, *debian])
    own = next(each for each in python if each.name == "stemserve")
    bom.metadata.component = Component(
        name="stemserve", version=own.version, type=ComponentType.CONTAINER
    )
    bom.register_dependency(bom.metadata.component, bom.components)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        raise ValueError(f"The bill of materials is not valid: {error!r}")
    return text


def _python_packages(root: Path) -> Iterator[Component]:
    for place in root.glob(_PACKAGES):
        for package in distributions(path=[str(place)]):
            yield Component(
                name=package.name,
                version=package.version,
                type=ComponentType.LIBRARY,
                purl=PackageURL("pypi", name=package.name, version=package.version),
                licenses=_licences(package),
            )


def _licences(package: Distribution) -> Iterable[License]:
    metadata = package.metadata
    for field in ("License-Expression", "License"):
        text = metadata[field].strip() if field in metadata else ""
        if text and len(text) <= _LONGEST_LICENCE and "\n" not in text:
            return [LicenseFactory().make_from_string(text)]
    return []


def _debian_packages(root: Path) -> Iterator[Component]:
    query = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show"]
    listed = subprocess.run(
        [*query, f"--showformat={_DPKG_FORMAT}"],
        check=True,
        capture_output=True,
        text=True,
    )
    for line in listed.stdout.splitlines():
        status, name, version, architecture = line.split("\t")
        if status == "installed":
            yield Component(
                name=name,
                version=version,
                type=ComponentType.LIBRARY,
                purl=PackageURL(
                    *("deb", "debian", name, version),
                    qualifiers={"arch": architecture},
                ),
            )


if __name__ == "__main__":
    print(of_root(Path(sys.argv[1])))
