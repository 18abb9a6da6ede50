"""The README and the pages of `docs` agree with the code."""

import re
from pathlib import Path

import pytest

from serve_app.audio.formats import FORMATS
from serve_app.separation.licences import BY_MODEL
from serve_app.separation.models import REGISTRY
from serve_app.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "serve_app").rglob("*.md"),
]
# Not those of placeholders, such as `deployments/NAME.py`.
SOURCE = re.compile(r"`((?:[a-z_.]+/)+[a-z_]+\.(?:py|sh|yaml|html|css|js))`")
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_stands_in_the_table(name: str) -> None:
    variable = f"`STEMSERVE_{name.upper()}`"
    rows = [line for line in SETTINGS.splitlines() if line.startswith("|")]
    row = next(row for row in rows if variable in row)
    assert str(Settings.model_fields[name].description) in row


@pytest.mark.parametrize("name", [*REGISTRY, *FORMATS])
def test_every_model_and_format_is_named(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", BY_MODEL)
def test_every_models_licences_stand_in_its_row(name: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
    *_, weights, _, end = row.split("|")
    assert end == ""
    if BY_MODEL[name].weights.name == "LicenseRef-research-only":
        assert "research only" in weights or weights.strip() == "likewise"
    else:
        assert BY_MODEL[name].weights.name == weights.strip()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_sources_that_a_document_names_are_there(path: Path) -> None:
    named = SOURCE.findall(path.read_text())
    places = (ROOT, ROOT / "serve_app", path.parent)
    for name in named:
        assert any((place / name).is_file() for place in places), name


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    headings = HEADING.findall(CODE_BLOCK.sub("", path.read_text()))
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {each.strip().replace(" ", "-") for each in words}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for name, anchor in LINK.findall(CODE_BLOCK.sub("", path.read_text())):
        target = path.parent / name if name else path
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"
