"""The table of who may import whom, held."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path
    for package in ("serve_app", "deployments")
    for path in (ROOT / package).rglob("*.py")
)

# Values and ports: any room may import them.
OPEN = (
    "serve_app.errors",
    "serve_app.licences",
    "serve_app.schema",
    "serve_app.titles",
    "serve_app.content_disposition",
    "serve_app.reports",
    "serve_app.views",
    "serve_app.working",
    "serve_app.disk",
    "serve_app.jobs.answer",
    "serve_app.jobs.footprint",
    "serve_app.jobs.job",
    "serve_app.webhooks.delivery",
    "serve_app.storage.port",
    "serve_app.audio.facts",
    "serve_app.audio.formats",
)

# What else of ours a room may import besides itself; None is everything.
ROOMS: dict[str, tuple[str, ...] | None] = {
    "serve_app.errors": (),
    "serve_app.licences": (),
    "serve_app.environment": (),
    "serve_app.settings": ("serve_app.environment",),
    "serve_app.settings_check": (
        "serve_app.database",
        "serve_app.environment",
        "serve_app.security.urls",
        "serve_app.separation.models",
        "serve_app.settings",
        "serve_app.storage.places",
        "serve_app.webhooks.signing",
    ),
    "serve_app.serve_config": (),
    "serve_app.schema": (),
    "serve_app.titles": (),
    "serve_app.content_disposition": (),
    "serve_app.views": (),
    "serve_app.working": (),
    "serve_app.disk": (),
    "serve_app.audio": (),
    "serve_app.exports": ("serve_app.audio",),
    "serve_app.separation": (),
    "serve_app.analysis": (),
    "serve_app.pictures": (),
    "serve_app.storage": (),
    "serve_app.security": (),
    "serve_app.database": (),
    "serve_app.jobs": ("serve_app.database",),
    "serve_app.webhooks": (
        "serve_app.database",
        "serve_app.jobs.schema",
        "serve_app.security.asking",
    ),
    "serve_app.api": (
        "serve_app.analysis.waveform",
        "serve_app.exports.forms",
        "serve_app.rendering",
    ),
    "serve_app.rendering": ("serve_app.analysis", "serve_app.pictures"),
    "serve_app.reporter": (
        "serve_app.analysis",
        "serve_app.audio",
        "serve_app.storage.fetch",
    ),
    "serve_app.exporter": (
        "serve_app.exports",
        "serve_app.song_track",
        "serve_app.storage.fetch",
    ),
    "serve_app.song_track": ("serve_app.audio", "serve_app.exports"),
    "serve_app.stem_tags": ("serve_app.exports", "serve_app.song_track"),
    "serve_app.reports": (),
    "serve_app.client": (),
    "serve_app.pipeline": (
        "serve_app.audio",
        "serve_app.mixing",
        "serve_app.separation",
    ),
    "serve_app.mixing": (),
    "serve_app.parts": (),
    "serve_app.follow": (
        "serve_app.audio",
        "serve_app.mixing",
        "serve_app.parts",
        "serve_app.separation",
        "serve_app.storage.fetch",
    ),
    "serve_app.worker": (
        "serve_app.parts",
        "serve_app.pipeline",
        "serve_app.separation",
        "serve_app.stem_tags",
        "serve_app.storage.fetch",
    ),
    "serve_app.inputs": ("serve_app.security",),
    "serve_app.engines": ("serve_app.separation", "serve_app.settings"),
    "serve_app.beats": (
        "serve_app.analysis",
        "serve_app.engines",
        "serve_app.separation.models",
        "serve_app.settings",
    ),
    "serve_app.cli": None,
    "deployments": None,
}

# Libraries that are heavy or a choice of ours, and the only rooms that know them.
LIBRARIES: dict[str, tuple[str, ...]] = {
    # What hears beats in numpy is all that an analysis needs; Beat This needs torch.
    "torch": ("serve_app.separation", "serve_app.analysis.beat_this"),
    "beat_this": ("serve_app.analysis.beat_this",),
    "torchaudio": ("serve_app.separation",),
    "safetensors": ("serve_app.separation",),
    "openvino": ("serve_app.separation",),
    "demucs": ("serve_app.separation",),
    "PIL": ("serve_app.pictures",),
    "fastapi": ("serve_app.api", "deployments"),
    "starlette": ("serve_app.api",),
    "ray": ("deployments",),
    "httpcore": ("serve_app.security",),
    "av": ("serve_app.audio",),
    "soundfile": ("serve_app.audio",),
    "boto3": ("serve_app.storage",),
    "botocore": ("serve_app.storage",),
    "sqlalchemy": ("serve_app.database", "serve_app.jobs", "serve_app.webhooks"),
    "alembic": ("serve_app.database",),
    "typer": ("serve_app.cli",),
    "rich": ("serve_app.cli",),
    "pydantic_settings": ("serve_app.settings",),
}

# A GPU benchmark host has these and nothing else.
# The last two are imported where they are installed only.
SEPARATION_MAY_USE = {
    *("torch", "torchaudio", "numpy", "safetensors", "filelock"),
    *("openvino", "demucs"),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield every module that `path` imports, at its top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def room_of(name: str) -> str:
    """Return the room of a module; every module of ours has one."""
    if name == "serve_app":
        return name
    rooms = [room for room in ROOMS if within(name, (room,))]
    assert rooms, f"{name} is in no room of the table: add it to docs/architecture.md"
    return max(rooms, key=len)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_imports_only_what_its_room_may(path: Path) -> None:
    name = module_name(path)
    if name == "serve_app":
        return
    room = room_of(name)
    allowed = ROOMS[room]
    for target in imports(path):
        if within(target, ("deployments",)):
            assert room == "deployments", f"{name} imports {target}"
        elif within(target, ("serve_app",)) and allowed is not None:
            assert within(target, (room, *OPEN, *allowed)), f"{name} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    name = module_name(path)
    for target in imports(path):
        library = target.split(".")[0]
        if library in LIBRARIES:
            assert within(name, LIBRARIES[library]), f"{name} imports {library}"


def test_separation_runs_where_only_torch_and_numpy_are() -> None:
    import sys

    for path in MODULES:
        if within(module_name(path), ("serve_app.separation",)):
            foreign = {target.split(".")[0] for target in imports(path)}
            unknown = foreign - SEPARATION_MAY_USE - sys.stdlib_module_names
            assert unknown <= {"serve_app"}, f"{path.name} imports {unknown}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_separation_and_its_torch_are_not_in_the_way_of_the_api(path: Path) -> None:
    """The API and the list of models must import without torch."""
    name = module_name(path)
    if not within(name, ("serve_app.api", "serve_app.separation.models")):
        return
    tree = ast.parse(path.read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in top:
        names = [a.name for a in node.names]
        module = getattr(node, "module", None)
        assert "torch" not in [module, *names], name


BARE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FOREIGN:
            raise ModuleNotFoundError(name)

FOREIGN = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Missing())
import benchmarks.gpu
from serve_app.separation.engine import Engine
"""


def test_a_gpu_can_be_measured_on_a_host_with_torch_torchaudio_and_numpy() -> None:
    """All else that the service depends on is made missing; filelock is torch's own."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^\w-]", line)[0] for line in pyproject["dependencies"]}
    foreign = names - {"torch", "torchaudio", "numpy", "filelock"}
    command = [sys.executable, "-c", BARE, ",".join(sorted(foreign))]
    subprocess.run(command, cwd=ROOT, check=True)
