"""Which files the deploy script uploads: what the Dockerfile needs, and no secret."""

import re
from pathlib import Path

import pytest

from tests.hub import TOKEN, Hub
from tests.unit.scripts.conftest import APP_FILES, load, write

REPOSITORY = Path(__file__).parents[3]

ALL = {"a.txt", "b.txt", "lib/c.py", "lib/deep/d.py", "lib/deep/e.md"}


def needed(root: Path) -> set[str]:
    return set(load(root).needed_files(root))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without an app.py: its Dockerfile says what it needs."""
    root = tmp_path / "checkout"
    write(root, {name: name.encode() for name in ALL | {"data/f"}})
    return root


@pytest.mark.parametrize(
    ("dockerfile", "files"),
    [
        ("COPY a.txt ./", {"a.txt"}),
        ("copy --chown=1000:1000 --link a.txt b.txt /app/", {"a.txt", "b.txt"}),
        ("COPY lib ./lib", {"lib/c.py", "lib/deep/d.py", "lib/deep/e.md"}),
        ("COPY ./lib/deep/ /app", {"lib/deep/d.py", "lib/deep/e.md"}),
        ("COPY /a.txt ./", {"a.txt"}),
        ('COPY ["a.txt", "b.txt", "./"]', {"a.txt", "b.txt"}),
        ("COPY *.txt ./", {"a.txt", "b.txt"}),
        ("COPY [ab].txt lib/*/?.py ./", {"a.txt", "b.txt", "lib/deep/d.py"}),
        ("COPY \\\n  # why\n  a.txt \\\n  b.txt ./", {"a.txt", "b.txt"}),
        ("COPY\ta.txt\t./", {"a.txt"}),
        ("# COPY b.txt ./\nCOPY a.txt ./", {"a.txt"}),
        ("COPY --from=build b.txt ./\nCOPY a.txt ./", {"a.txt"}),
        ("ADD https://a.example/b.txt a.txt ./", {"a.txt"}),
        ("COPY <<EOF /c.sh\nCOPY b.txt ./\nEOF\nCOPY a.txt ./", {"a.txt"}),
        ("RUN <<'END'\nCOPY b.txt ./\nEND\nCOPY a.txt ./", {"a.txt"}),
        ("RUN --mount=type=bind,source=a.txt,target=/a.txt true", {"a.txt"}),
        ("RUN --mount=type=cache,target=/c --mount=src=b.txt,target=/b x", {"b.txt"}),
        ("RUN --mount=type=bind,from=build,source=b.txt,target=/b true", set()),
        (
            "COPY . .",
            ALL | {"scripts/hf_space_deploy.py"},
        ),
    ],
)
def test_files_are_those_that_the_dockerfile_reads(
    checkout: Path, dockerfile: str, files: set[str]
) -> None:
    write(checkout, {"Dockerfile": f"FROM x AS build\n{dockerfile}\n".encode()})
    assert needed(checkout) == files | {"Dockerfile"}


@pytest.mark.parametrize(
    ("ignored", "left"),
    [
        ("", ALL),
        ("lib", {"a.txt", "b.txt"}),
        ("/lib/\n", {"a.txt", "b.txt"}),
        ("# lib\n\n  lib/deep  \n", {"a.txt", "b.txt", "lib/c.py"}),
        (
            "c.py\ndeep",
            {"a.txt", "b.txt", "lib/c.py", "lib/deep/d.py", "lib/deep/e.md"},
        ),
        ("*.py", {"a.txt", "b.txt", "lib/c.py", "lib/deep/d.py", "lib/deep/e.md"}),
        ("**/*.py", {"a.txt", "b.txt", "lib/deep/e.md"}),
        ("lib/**", {"a.txt", "b.txt"}),
        ("**/deep", {"a.txt", "b.txt", "lib/c.py"}),
        ("?.txt\n!b.txt", {"b.txt", "lib/c.py", "lib/deep/d.py", "lib/deep/e.md"}),
        ("lib\n!lib/deep\nlib/deep/*.md", {"a.txt", "b.txt", "lib/deep/d.py"}),
        ("*\n!lib/c.py\n!*.txt", {"a.txt", "b.txt", "lib/c.py"}),
    ],
)
def test_files_that_dockerignore_excludes_stay_here(
    checkout: Path, ignored: str, left: set[str]
) -> None:
    write(checkout, {"Dockerfile": b"COPY . ./", ".dockerignore": ignored.encode()})
    found = needed(checkout) - {"Dockerfile", "scripts/hf_space_deploy.py"}
    assert found - {".dockerignore"} == left


@pytest.mark.parametrize(
    "name",
    [
        *(".env", "lib/.env.production", "lib/.git/config", ".venv/lib/x.py"),
        *("data/jobs.sqlite3", "lib/id_rsa", "lib/tls.key", "cert.pem", ".netrc"),
        *("lib/__pycache__/c.pyc", "lib/node_modules/x/index.js", ".ssh/config"),
    ],
)
def test_secrets_and_data_stay_here_whatever_the_dockerfile_copies(
    checkout: Path, name: str
) -> None:
    write(checkout, {"Dockerfile": b"COPY . ./", name: b"secret"})
    write(checkout, {".dockerignore": f"!{name}".encode()})
    assert name not in needed(checkout)


def test_links_publish_nothing_from_elsewhere_and_no_secret(
    checkout: Path, tmp_path: Path
) -> None:
    write(tmp_path, {"outside.txt": b"secret"})
    write(checkout, {"Dockerfile": b"COPY lib ./", ".env": b"secret"})
    links = {"outside": tmp_path / "outside.txt", "inside": checkout / ".env"}
    for name, target in {**links, "same": checkout / "a.txt"}.items():
        (checkout / "lib" / name).symlink_to(target)
    (checkout / "lib" / "folder").symlink_to(tmp_path)
    found = needed(checkout)
    assert "lib/same" in found
    assert not found & {"lib/outside", "lib/inside", "lib/folder/outside.txt"}


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("COPY z.txt ./", r"z\.txt is missing"),
        ("COPY ../a.txt.key ./", "is missing"),
        ("COPY data ./", "excluded from uploads"),
        ("COPY $FILE ./", "Write the path without a variable"),
        ("COPY ${DIR}/a.txt ./", "Write the path without a variable"),
    ],
)
def test_a_source_that_can_not_be_uploaded_stops_the_deployment(
    checkout: Path, dockerfile: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(checkout, {"Dockerfile": dockerfile.encode()})
    arguments = ["--space-id", "me/space", "--token", TOKEN, "--dry-run"]
    assert load(checkout).main(arguments) == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_front_end_uploads_its_app_and_neither_its_pages_nor_secrets(
    app: Path,
) -> None:
    assert needed(app) == set(APP_FILES)


def test_the_hub_keeps_the_readme_that_it_made(checkout: Path) -> None:
    """It contains the Space's settings; ours would replace them."""
    write(checkout, {"Dockerfile": b"COPY README.md a.txt ./", "README.md": b"# Ours"})
    assert needed(checkout) == {"Dockerfile", "a.txt"}


def test_this_repository_is_uploaded_byte_for_byte(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load(tmp_path / "front end")
    # Its root is there, so that .env.local is.
    monkeypatch.setattr(script, "ROOT", REPOSITORY)
    plan = script.planned("me/space", "", TOKEN)
    client = script.connect(TOKEN)
    script.create_space(client, plan)
    script.upload(client, plan)
    files = hub.spaces["me/space"].files
    del files["README.md"]
    assert files.keys() == set(plan.files)
    for name, content in files.items():
        assert (REPOSITORY / name).read_bytes() == content
    dockerfile = files["Dockerfile"].decode()
    tops = {name.partition("/")[0] for name in files}
    assert tops >= {"Dockerfile", "pyproject.toml", "serve_app", "deployments"}
    assert all(top in dockerfile for top in tops - {"Dockerfile"})
