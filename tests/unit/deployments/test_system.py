"""A system is found by its name; errors of its module are not hidden."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments import system
from deployments.stems import Stems
from tests.unit.deployments.modules import Modules

MODULE = "SYSTEM = 'found'\n"


@pytest.fixture
def modules(tmp_path: Path) -> Iterator[Modules]:
    with Modules(tmp_path) as modules:
        yield modules


def test_a_system_of_this_package_is_found_by_its_module() -> None:
    assert system.find("stems") is Stems


@pytest.mark.parametrize("name", ["a_system", "a_package.of.systems"])
def test_a_system_is_found_wherever_it_can_be_imported_from(
    modules: Modules, name: str
) -> None:
    modules.write(name, MODULE)
    assert system.find(name) == "found"


def test_those_of_this_package_go_first(modules: Modules) -> None:
    modules.write("stems", MODULE)
    assert system.find("stems") is Stems


def test_a_module_of_this_package_that_is_no_system_hides_no_other(
    modules: Modules,
) -> None:
    modules.write("sweeper", MODULE)
    assert system.find("sweeper") == "found"


@pytest.mark.parametrize(
    "name",
    ["stmes", "kernel", "json", "nowhere.stems", "stems.nowhere", "", ".", "../stems"],
)
def test_what_is_no_system_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="unknown system") as caught:
        system.find(name)
    assert f"`{name}`" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("import not_installed", ModuleNotFoundError, "not_installed"),
        ("import a_system.deeper", ModuleNotFoundError, "a_system.deeper"),
        ("from json import nothing", ImportError, "nothing"),
        ("import json\njson.nothing", AttributeError, "nothing"),
        ("1 / 0", ZeroDivisionError, "zero"),
    ],
)
def test_what_a_system_s_own_module_lacks_is_not_hidden(
    modules: Modules, text: str, error: type[Exception], words: str
) -> None:
    modules.write("a_system", text + "\n" + MODULE)
    with pytest.raises(error, match=words):
        system.find("a_system")
