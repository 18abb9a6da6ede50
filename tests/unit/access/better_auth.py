"""A site with Better Auth, which signs users up and in and issues their tokens."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.node import node_of

PROJECT = Path(__file__).parents[2] / "access" / "better_auth"


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
    command = [node_of(PROJECT), PROJECT / "site.js", str(port), database]
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
