"""The bill of materials of an image."""

import json
import shutil
from pathlib import Path

import pytest

from tools.image import sbom

DPKG_STATUS = """\
Package: tini
Status: install ok installed
Version: 0.19.0-1
Architecture: amd64
Maintainer: a
Description: b

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: amd64
Maintainer: a
Description: b
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of an image with two Python packages and one of Debian."""
    packages = tmp_path / "opt/stemserve/lib/python3.11/site-packages"
    for name, licence in (
        ("stemserve", "License-Expression: MIT"),
        ("wordy", "License: " + "word " * 100),
    ):
        info = packages / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{licence}\n"
        (info / "METADATA").write_text(text)
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(DPKG_STATUS)
    return tmp_path


needs_dpkg = pytest.mark.skipif(
    shutil.which("dpkg-query") is None, reason="dpkg-query is not installed"
)


@needs_dpkg
def test_it_lists_the_packages_of_python_and_of_debian(root: Path) -> None:
    found = json.loads(sbom.of_root(root))
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert found["metadata"]["component"]["version"] == "1.0"
    by_purl = {each["purl"]: each for each in found["components"]}
    assert set(by_purl) == {
        "pkg:pypi/stemserve@1.0",
        "pkg:pypi/wordy@1.0",
        "pkg:deb/debian/tini@0.19.0-1?arch=amd64",
    }
    (licence,) = by_purl["pkg:pypi/stemserve@1.0"]["licenses"]
    assert licence["license"]["id"] == "MIT"
    assert "licenses" not in by_purl["pkg:pypi/wordy@1.0"]


@needs_dpkg
def test_a_directory_without_an_image_is_refused(root: Path) -> None:
    shutil.rmtree(root / "opt")
    with pytest.raises(ValueError, match="no packages"):
        sbom.of_root(root)
