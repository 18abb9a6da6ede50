"""Send generated requests to every route, and count the responses with a 5xx.

    python -m tools.fuzz_api [--cases 10000] [--seed 1] [--access key none off]

Schemathesis makes valid and invalid requests from the OpenAPI description. The server
is the application on a port of this machine, over a Postgres of its own; its pools are
replaced, and jobs succeed at once. With `--access key` it requires credentials and gets
an admin's, with `none` it requires them and gets none, with `off` it is open. The exit
code is 1 if any response was a 5xx. Schemathesis runs in an environment of its own,
which uv makes.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.access.http.door import AccessPolicy
from serve_app.database import Database
from tests.databases import Postgres
from tests.unit.access.gate import ADMIN_KEY, guarded
from tests.unit.live import separating, serving
from tests.unit.pools import DirectUploads, StoredReports
from tests.unit.server import Server, running

KEY, NONE, OFF = "key", "none", "off"
# The last one that this was tried with.
_SCHEMATHESIS = "schemathesis@4.32.5"
_OPTIONS = (
    *("--phases", "examples,coverage,fuzzing"),
    *("--checks", "not_a_server_error"),
    *("--generation-database", "none"),
    *("--suppress-health-check", "all"),
    *("--continue-on-failure", "--no-color"),
)
# Of each route and run: a run has some thousand cases.
_EXAMPLES = 200


@dataclass
class Counted:
    """An application whose responses are counted by status, and its failures listed."""

    app: ASGIApp
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def counting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"])
            await send(message)

        await self.app(scope, receive, counting_send)

    def _count(self, scope: Scope, status: int) -> None:
        self.statuses[status] += 1
        if status >= 500:
            query = scope["query_string"].decode("latin-1")
            self.failures.append(f"{status} {scope['method']} {scope['path']}?{query}")


def generate(address: str, seed: int, header: str) -> None:
    """Send one run of requests to a server.

    Raises RuntimeError if Schemathesis could not run.
    """
    command = [sys.executable, "-m", "uv", "tool", "run", _SCHEMATHESIS, "run"]
    command += [f"{address}/openapi.json", *_OPTIONS, "--seed", str(seed)]
    command += ["--max-examples", str(_EXAMPLES)]
    if header:
        command += ["--header", header]
    # It writes its reports into the current directory.
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    # 1: a check failed, which `Counted` has seen.
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


async def run(server: Server, access: str, cases: int, seed: int) -> Counted:
    """Send at least so many requests to a server with this access."""
    server.stems = replace(
        server.stems,
        analyses=StoredReports(server.storage, server.files_dir.parent),
        arrivals=replace(server.stems.arrivals, uploads=DirectUploads()),
    )
    header = f"Authorization: Bearer {ADMIN_KEY}" if access == KEY else ""
    async with guarded(server, AccessPolicy(access != OFF)) as gate:
        counted = Counted(gate.app)
        with serving(counted) as address, separating(server):
            while counted.statuses.total() < cases:
                await asyncio.to_thread(generate, address, seed, header)
                seed += 1
    return counted


@contextmanager
def database(directory: Path) -> Iterator[Database]:
    """Run a Postgres, which accepts less than SQLite, and yield a database of it."""
    postgres = Postgres(directory / "postgres")
    try:
        with postgres.new_database() as url, Database(url) as database:
            yield database
    finally:
        postgres.close()


async def fuzz(access: str, cases: int, seed: int) -> Counted:
    """Do so with a server of its own; print the statuses and the failures."""
    with tempfile.TemporaryDirectory() as place, database(Path(place)) as found:
        async with running(Path(place), found) as server:
            counted = await run(server, access, cases, seed)
    shown = ", ".join(
        f"{status}: {n}" for status, n in sorted(counted.statuses.items())
    )
    print(f"access {access}: {counted.statuses.total()} requests ({shown})", flush=True)
    for failure in counted.failures[:20]:
        print(f"  {failure}")
    return counted


def main(arguments: Sequence[str]) -> int:
    """Run, and return 1 if there was a server error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--access", nargs="+", default=[KEY, NONE, OFF])
    options = parser.parse_args(arguments)
    ends = [
        asyncio.run(fuzz(access, options.cases, options.seed))
        for access in options.access
    ]
    return int(any(counted.failures for counted in ends))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
