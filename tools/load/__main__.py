"""Load a server as its clients do: `python -m tools.load`, or `make loadtest`.

Without `--url` it starts a server on a free port of this machine, and measures what it
takes. A key for the server comes from STEMSERVE_API_KEY. The exit code is 1 if the run
exceeded a limit of its profile, 2 for a wrong command.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from benchmarks import idle
from serve_app.separation.models import FOR_LOAD_TESTS
from tools.load import faults, footprint, report
from tools.load.footprint import UNITS, Footprint, LocalServer
from tools.load.measures import Measures
from tools.load.profile import Profile
from tools.load.run import KEY_VARIABLE, Run

_ROOT = Path(__file__).resolve().parents[2]
_PROFILE = _ROOT / "configs" / "load" / "service.yaml"
_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Finished jobs must not fill the disk, and the warm-up should see how they are deleted.
_RETENTION_SECONDS = 45

_GROWTHS_SHOWN = 5


def main(arguments: Sequence[str]) -> int:
    """Make the load, write the reports and print the table."""
    options = _parser().parse_args(arguments)
    try:
        profile = Profile.read(options.profile)
        _check(options, profile)
        if options.url:
            _probe(options.url)
    except (OSError, ValueError) as error:
        print(f"tools.load: {error}", file=sys.stderr)
        return 2
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"tools.load: --out: {error}", file=sys.stderr)
        return 2
    with _server(options) as (url, server):
        if server is None:
            measures, taken = _generated(url, options), Footprint()
            strikes = Counter[str]()
        else:
            with footprint.watched(server) as taken:
                with faults.raging(server, profile.faults) as strikes:
                    measures = _generated(url, options)
                taken.end_load()
                time.sleep(profile.rest_seconds)
    found = report.report(url, profile, measures, taken, strikes)
    (options.out / "report.json").write_text(json.dumps(found, indent=2))
    (options.out / "report.html").write_text(report.page(found))
    _print(found, options.out)
    return 1 if found["problems"] else 0


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tools.load", description=__doc__)
    top.add_argument(
        "--profile", type=Path, default=_ROOT / "configs/load/service.yaml"
    )
    top.add_argument("--url", help="address of a server that runs")
    top.add_argument("--model", default="demo", help="model of the server to start")
    top.add_argument(
        "--fake-model",
        action="store_true",
        help="start the server with a network that costs nothing",
    )
    top.add_argument("--generator", choices=("locust", "plain"), default="locust")
    top.add_argument("--out", type=Path, default=Path("data/load"))
    return top


def _check(options: argparse.Namespace, profile: Profile) -> None:
    """Raise ValueError for options that can't be combined."""
    if options.fake_model and options.url:
        raise ValueError(
            "--fake-model is for a server that this command starts. Leave out --url, "
            f"or set STEMSERVE_MODEL={FOR_LOAD_TESTS.name} for the server there."
        )
    if options.url and profile.faults.kill:
        raise ValueError(
            "the profile kills processes of the server, so this command must start it. "
            "Leave out --url, or use a profile without `faults`."
        )
    if options.generator == "locust" and find_spec("locust") is None:
        raise ValueError(
            "locust is not installed. Run `make setup`, or use --generator plain."
        )


def _probe(url: str) -> None:
    """Raise ValueError unless a server answers at `url` and takes the key."""
    key = os.environ.get(KEY_VARIABLE)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ValueError(f"--url: no server answers at {url}: {error}") from None
    if response.status_code in (401, 403):
        raise ValueError(
            f"--url: {url} refuses the key (status {response.status_code}). Set "
            f"{KEY_VARIABLE} to one that may send jobs."
        )
    if response.status_code != HTTPStatus.OK:
        raise ValueError(
            f"--url: {url} is no stemserve: status {response.status_code} of /models."
        )


@contextmanager
def _server(
    options: argparse.Namespace,
) -> Iterator[tuple[str, LocalServer | None]]:
    """Yield the address of the server, and the server if it was started here."""
    if options.url:
        yield options.url.rstrip("/"), None
        return
    port = idle.free_port()
    settings = {
        "STEMSERVE_MODEL": FOR_LOAD_TESTS.name if options.fake_model else options.model,
        "STEMSERVE_RETENTION_SECONDS": str(_RETENTION_SECONDS),
    }
    with (
        tempfile.TemporaryDirectory() as place,
        idle.server(Path(place), port, settings) as process,
    ):
        yield f"http://127.0.0.1:{port}", LocalServer(process, Path(place) / "data")


def _generated(url: str, options: argparse.Namespace) -> Measures:
    """Run the generator in a process of its own; return what it measured."""
    command = [sys.executable, "-m", "tools.load.plain"]
    if options.generator == "locust":
        command = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
        command += ["--locustfile", str(_LOCUSTFILE), "--host", url]
        # Our report says what was wrong.
        command += ["--exit-code-on-error", "0", "--loglevel", "WARNING"]
    with tempfile.TemporaryDirectory() as place:
        run = Run(url, options.profile.resolve(), Path(place) / "measures.json")
        environment = run.environment()
        paths = [str(_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return Measures.from_dict(json.loads(run.measures.read_text()))


def _print(found: dict[str, Any], out: Path) -> None:
    print(report.table(found))
    print(f"generator: {found['generator_cpu_percent']} % of a core")
    for name, taken in found["footprint"].items():
        peak, growth, left = taken["peak"], taken["per_minute"], taken["left"]
        print(
            f"{name} of the server: at most {peak} {UNITS[name]}, {growth} a minute, "
            f"{left} more in the end"
        )
    if growths := found["kept_growths_per_minute"][:_GROWTHS_SHOWN]:
        most = ", ".join(f"{name} {growth}" for name, growth in growths)
        print(f"of kept, a minute: {most}")
    if found["killed"]:
        print(f"killed: {found['killed']}")
    for text in [text for texts in found["errors"].values() for text in texts]:
        print(f"error: {text}")
    for problem in found["problems"]:
        print(f"limit exceeded: {problem}")
    print(f"reports: {out / 'report.html'} and report.json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
