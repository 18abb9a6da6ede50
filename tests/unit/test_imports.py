"""Who may import whom: a kernel, engines, systems; held."""

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

# What all systems share; none of it knows an engine or a system.
KERNEL = (
    *("errors", "filenames", "settings", "database", "storage", "outbound"),
    *("jobs", "idempotency", "webhooks", "api", "access", "usage", "telemetry"),
    "scaling",
)
# Arrays in, arrays out.
ENGINES = ("audio", "separation", "analysis", "diffusion", "pictures")
# What people and programs use the service by.
CLIENTS = ("cli", "client")
# What clients use: every other folder. A new one has its rules without a change here.
SYSTEMS = tuple(
    sorted(
        path.parent.name
        for path in (ROOT / "serve_app").glob("*/__init__.py")
        if path.parent.name not in (*KERNEL, *ENGINES, *CLIENTS)
    )
)
ROUTES = tuple(f"serve_app.{system}.http" for system in SYSTEMS)
# These know no jobs: what depends on them is passed in.
WITHOUT_JOBS = ("errors", "filenames", "database", "storage", "outbound", "usage")

# Libraries that are heavy or a choice of ours, and the only rooms that know them.
LIBRARIES: dict[str, tuple[str, ...]] = {
    # What hears beats in numpy is all that an analysis needs; Beat This needs torch.
    "torch": (
        "serve_app.separation",
        "serve_app.analysis.beat_this",
        "serve_app.diffusion",
    ),
    "diffusers": ("serve_app.diffusion",),
    "transformers": ("serve_app.diffusion",),
    "tokenizers": ("serve_app.diffusion",),
    "peft": ("serve_app.diffusion",),
    "beat_this": ("serve_app.analysis.beat_this",),
    "torchaudio": ("serve_app.separation",),
    "safetensors": ("serve_app.separation",),
    "openvino": ("serve_app.separation",),
    "demucs": ("serve_app.separation",),
    "PIL": ("serve_app.pictures",),
    "fastapi": (
        "serve_app.api",
        "serve_app.access.http",
        "serve_app.telemetry.http",
        "serve_app.webhooks.http",
        "deployments.api",
        *ROUTES,
    ),
    "starlette": ("serve_app.access.http", "serve_app.api", *ROUTES),
    "ray": ("deployments",),
    "prometheus_client": ("serve_app.telemetry",),
    "opentelemetry": ("serve_app.telemetry.tracing.otlp",),
    "httpcore": ("serve_app.outbound",),
    "jwt": ("serve_app.access",),
    "brotli": ("serve_app.page",),
    "av": ("serve_app.audio", "serve_app.archive.downloads"),
    "m3u8": ("serve_app.archive",),
    "soundfile": ("serve_app.audio",),
    "boto3": ("serve_app.storage", "serve_app.library.inlet"),
    "botocore": ("serve_app.storage", "serve_app.library.inlet"),
    "huggingface_hub": ("serve_app.storage", "serve_app.diffusion"),
    "sqlalchemy": (
        "serve_app.access",
        "serve_app.archive",
        "serve_app.database",
        "serve_app.idempotency",
        "serve_app.jobs",
        "serve_app.library",
        "serve_app.scaling",
        "serve_app.telemetry",
        "serve_app.usage",
        "serve_app.webhooks",
    ),
    "postgrest": ("serve_app.archive.old_tables.rest",),
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


NAMES = {module_name(path): path for path in MODULES}


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


def own(target: str) -> str | None:
    """Return the module of ours that an import means; None for what is not ours."""
    while target and target not in NAMES:
        target = target.rpartition(".")[0]
    return target or None


def package(name: str) -> str:
    """Return the package of a module, `serve_app` apart: `jobs`, `deployments`."""
    parts = name.split(".")
    return parts[0] if parts[0] == "deployments" or len(parts) == 1 else parts[1]


GRAPH = {
    name: {found for target in imports(path) if (found := own(target))} - {name}
    for name, path in NAMES.items()
}


def test_the_lists_above_name_folders_that_exist() -> None:
    known = {*KERNEL, *ENGINES, *SYSTEMS, *CLIENTS, "serve_app", "deployments"}
    assert {package(name) for name in NAMES} == known


@pytest.mark.parametrize("name", NAMES)
def test_module_imports_only_what_its_room_may(name: str) -> None:
    room = package(name)
    for target in GRAPH[name]:
        other = package(target)
        if other in (room, "serve_app"):
            continue
        assert other not in ("deployments", *CLIENTS) or room in CLIENTS, target
        if room in KERNEL:
            assert other in KERNEL, f"{name} imports {target}: the kernel knows no such"
        if room in WITHOUT_JOBS:
            assert other in WITHOUT_JOBS, f"{name} imports {target}: it knows no jobs"
        if room in ENGINES:
            assert other == "errors", f"{name} imports {target}: engines know nothing"
        if room in SYSTEMS:
            assert other not in SYSTEMS, f"{name} imports {target}: another system"


def test_the_command_line_alone_starts_deployments() -> None:
    """They import Ray, which takes a second."""
    importing = {
        package(name) for name in NAMES if "deployments" in map(package, GRAPH[name])
    }
    assert importing <= {"deployments", "cli"}


def components(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return what is in cycles: sets of nodes that reach each other."""
    reached = {node: reach(graph, node) for node in graph}
    return [
        {other for other in reached[node] if node in reached.get(other, ())}
        for node in graph
        if node in reached[node]
    ]


def reach(graph: dict[str, set[str]], node: str) -> set[str]:
    found: set[str] = set()
    left = [*graph.get(node, ())]
    while left:
        other = left.pop()
        if other not in found:
            found.add(other)
            left += graph.get(other, ())
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert components(GRAPH) == []


def test_no_packages_import_each_other_in_a_circle() -> None:
    packages: dict[str, set[str]] = {}
    for name, targets in GRAPH.items():
        room = package(name)
        others = {package(target) for target in targets}
        packages.setdefault(room, set()).update(others - {room, "serve_app"})
    assert components(packages) == []


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
