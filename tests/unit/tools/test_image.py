"""Building the image of the Dockerfile in directories."""

from pathlib import Path

import pytest

from tools.image import dockerfile
from tools.image.building import Place, build
from tools.image.dockerfile import Instruction
from tools.image.files import added_bytes, snapshot

SOURCE = """\
# A comment.
ARG DEBIAN=debian:bookworm-slim
FROM ${DEBIAN} AS build
# Another one.
RUN --mount=type=cache,target=/cache one \\
    && two
COPY here ./there

FROM ${DEBIAN}
COPY --from=build /a /b
CMD ["sh", "-c", "serve"]
"""


def test_a_dockerfile_has_stages_with_their_instructions() -> None:
    first, last = dockerfile.read(SOURCE, {}).stages
    assert (first.name, first.base) == ("build", "debian:bookworm-slim")
    run, copy = first.steps
    assert run.flags == {"mount": "type=cache,target=/cache"}
    assert run.value.split() == ["one", "&&", "two"]
    assert copy == Instruction("COPY", {}, "here ./there")
    assert last.steps[0] == Instruction("COPY", {"from": "build"}, "/a /b")
    assert dockerfile.command(last.steps[1].value) == ("sh", "-c", "serve")


def test_a_build_argument_replaces_a_default() -> None:
    read = dockerfile.read(SOURCE, {"DEBIAN": "debian:trixie-slim"})
    assert read.stages[0].base == "debian:trixie-slim"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$A-${A}", "one-one"),
        ("${A:-two} ${NONE:-two} ${EMPTY:-two}", "one two two"),
        ("${A:+/two}", "/two"),
        ("${NONE:+/two}${EMPTY:+/two}$NONE", ""),
    ],
)
def test_variables_are_replaced_as_docker_does(text: str, expanded: str) -> None:
    assert dockerfile.expand(text, {"A": "one", "EMPTY": ""}) == expanded


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A context with a package, an empty base image, and a place for the stages."""
    package = tmp_path / "context" / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "a.pyc").touch()
    (package / "a.py").write_text("12345")
    (tmp_path / "context" / "LICENSE").write_text("MIT")
    for name in ("base", "work"):
        (tmp_path / name).mkdir()
    return Place(tmp_path / "context", tmp_path / "base", tmp_path / "work")


def test_a_build_copies_files_and_collects_the_configuration(place: Place) -> None:
    source = """\
ARG WHERE=opt
FROM base AS build
WORKDIR /build
COPY LICENSE ./
COPY package ./package
FROM base
ARG WHERE
ENV A=${WHERE} B=${NONE:+b}
WORKDIR /$A
COPY --from=build /build ./
USER 1000:1000
HEALTHCHECK --timeout=5s CMD wget /
ENTRYPOINT ["tini", "--"]
CMD ["serve"]
"""
    image = build(dockerfile.read(source, {}), place, {})
    copied = sorted(path.name for path in (image.root / "opt").rglob("*"))
    assert copied == ["LICENSE", "a.py", "package"]
    config = image.config
    assert (config.environment["A"], config.environment["B"]) == ("opt", "")
    assert (config.directory, config.user) == ("/opt", "1000:1000")
    assert [*config.entrypoint, *config.command] == ["tini", "--", "serve"]
    assert config.healthcheck == ("/bin/sh", "-c", "wget /")
    assert [layer.size_bytes for layer in image.layers] == [0, 8]


def test_a_copy_over_a_file_of_an_earlier_stage_leaves_that_one(place: Place) -> None:
    source = """\
FROM base AS build
COPY LICENSE /a/
FROM base
COPY --from=build /a /a
COPY package/a.py /a/LICENSE
"""
    image = build(dockerfile.read(source, {}), place, {})
    assert (image.root / "a" / "LICENSE").read_text() == "12345"
    assert (place.work / "stage0" / "a" / "LICENSE").read_text() == "MIT"


def test_an_instruction_that_is_not_supported_is_an_error(place: Place) -> None:
    source = dockerfile.read("FROM base\nONBUILD RUN true\n", {})
    with pytest.raises(ValueError, match="ONBUILD"):
        build(source, place, {})


def test_a_layer_has_new_and_changed_files_once(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "changed").write_text("1")
    before = snapshot(tmp_path)
    (tmp_path / "changed").write_text("22")
    (tmp_path / "new").write_text("333")
    (tmp_path / "linked").hardlink_to(tmp_path / "new")
    (tmp_path / "symbolic").symlink_to("new")
    assert added_bytes(before, snapshot(tmp_path)) == 5
