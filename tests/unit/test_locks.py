"""The lock files agree, with each other and with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# As the Makefile names them.
SERVING = tuple(re.findall(r"--extra (\w+)", (ROOT / "Makefile").read_text()))


def pins(name: str) -> dict[str, str]:
    """Return the versions that a lock file names."""
    text = (ROOT / name).read_text()
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))


def wanted(*extras: str) -> list[Requirement]:
    optional = PROJECT["optional-dependencies"]
    lines = [line for extra in extras for line in optional[extra]]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *lines]]


def test_development_adds_to_what_serving_needs() -> None:
    serving, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert serving.items() < development.items()
    assert not {"pytest", "mypy", "ruff", "moto", "playwright"} & set(serving)


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("requirements.lock", SERVING),
        ("requirements-dev.lock", tuple(PROJECT["optional-dependencies"])),
    ],
)
def test_a_lock_has_every_requirement_within_its_bounds(
    name: str, extras: tuple[str, ...]
) -> None:
    locked = pins(name)
    for requirement in wanted(*extras):
        assert locked[requirement.name] in requirement.specifier, requirement


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    for requirement in wanted():
        operators = {each.operator for each in requirement.specifier}
        assert operators in ({"=="}, {">=", "<"}), requirement


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_every_package_of_the_image_is_pinned_by_hash(name: str) -> None:
    blocks = re.split(r"^(?=[\w.-]+==)", (ROOT / name).read_text(), flags=re.MULTILINE)
    assert len(blocks) == len(pins(name)) + 1
    assert all(" --hash=sha256:" in block for block in blocks[1:])


def test_the_image_is_built_by_what_the_group_names() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    locked = pins("requirements-build.lock")
    for requirement in map(Requirement, groups["build"]):
        assert locked[requirement.name] in requirement.specifier, requirement


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"]
)
def test_no_lock_holds_an_address(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()
