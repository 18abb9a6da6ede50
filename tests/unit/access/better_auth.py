"""A site with Better Auth, which signs users up and in and issues their tokens."""

import os
import platform
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

PROJECT = Path(__file__).parents[2] / "access" / "better_auth"
# In CI, the required path of npm. Without it, tests are skipped if npm is not
# installed, or does not reach its registry.
NPM = os.environ.get("NPM")
# Node comes with the project: the versions of distributions are too old.
_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


@dataclass(frozen=True)
class User:
    """A user who has signed in, with a session."""

    id: str
    session: httpx.Client

    def token(self) -> str:
        """Return a new token."""
        answer = self.session.get("/api/auth/token")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    def sign_out(self) -> None:
        """End the session."""
        answer = self.session.post("/api/auth/sign-out", json={})
        assert answer.status_code == 200, answer.text
        assert self.session.get("/api/auth/token").status_code == 401


@dataclass(frozen=True)
class Site:
    """The site, and its database."""

    url: str
    database: Path

    @contextmanager
    def user(self, name: str) -> Iterator[User]:
        """Sign a user up, and in."""
        with httpx.Client(base_url=self.url, headers={"Origin": self.url}) as session:
            given = {"email": f"{name}@stems.example", "password": f"{name} password"}
            answer = session.post(
                "/api/auth/sign-up/email", json={"name": name, **given}
            )
            assert answer.status_code == 200, answer.text
            session.cookies.clear()
            answer = session.post("/api/auth/sign-in/email", json=given)
            assert answer.status_code == 200, answer.text
            yield User(answer.json()["user"]["id"], session)

    def key_ids(self) -> list[str]:
        """Return the ids of the published keys."""
        answer = httpx.get(f"{self.url}/api/auth/jwks")
        return [key["kid"] for key in answer.json()["keys"]]

    def rotate(self) -> None:
        """Let its keys expire: the next token is signed with a new one."""
        self._change("UPDATE jwks SET expiresAt = datetime('now', '-1 seconds')")

    def delete_keys(self) -> None:
        """Delete its keys."""
        self._change("DELETE FROM jwks")

    def _change(self, statement: str) -> None:
        with sqlite3.connect(self.database) as connection:
            connection.execute(statement)
        connection.close()


@contextmanager
def running(directory: Path, port: int) -> Iterator[Site]:
    """Run the site; its database is in `directory`."""
    database = directory / "site.sqlite3"
    command = [_node(), PROJECT / "site.js", str(port), database]
    log = directory / "site.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", log.read_text()
        yield Site(f"http://127.0.0.1:{port}", database)
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _node() -> Path:
    """Return the Node of the project; install the project if its lock has changed."""
    modules, lock = PROJECT / "node_modules", PROJECT / "package-lock.json"
    installed = modules / "installed.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        _install()
        shutil.copy(lock, installed)
    machine = _MACHINES.get(platform.machine(), platform.machine())
    node = modules / f"node-linux-{machine}" / "bin" / "node"
    if not node.exists() and not NPM:
        pytest.skip(f"the project has no Node for this machine: {node.name}")
    return node


def _install() -> None:
    npm = NPM or shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode and not NPM:
        pytest.skip(f"npm failed: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
