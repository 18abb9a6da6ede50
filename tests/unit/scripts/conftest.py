"""Checkouts to deploy, and a Hub to deploy them to."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "hf_space_deploy.py"
APP_FILES = {
    "Dockerfile": b"FROM python:3.12-slim\nCOPY . .\nCMD python app.py\n",
    "app.py": b"from backend.app import app\r\n",
    "requirements.txt": b"fastapi\nuvicorn",
    "backend/__init__.py": b"",
    "backend/app.py": "app = 'è'\n".encode(),
    "backend/data/weights.bin": bytes(range(256)) * 40,
}
OTHER_FILES = {
    "README.md": b"# The front end\n",
    "package.json": b"{}",
    ".dockerignore": b"backend/data\n",
    "backend/.env": b"KEY=secret",
    "backend/__pycache__/app.pyc": b"\0",
    "backend/node_modules/left-pad/index.js": b"",
    "data/songs.sqlite3": b"\0",
}

Load = Callable[[Path], ModuleType]


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def load(root: Path) -> ModuleType:
    """Import a copy of the script that lies in a checkout."""
    (root / "scripts").mkdir(parents=True, exist_ok=True)
    path = Path(shutil.copy(SCRIPT, root / "scripts"))
    spec = importlib.util.spec_from_file_location("hf_space_deploy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hf_space_deploy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The checkout of a front end with its app, as the script was made for."""
    root = tmp_path / "front end"
    write(root, {**APP_FILES, **OTHER_FILES})
    return root
