"""The audit log of a replica: pure JSON lines, on the output and in a file."""

import json
import subprocess
import sys
from pathlib import Path

REPLICA = """
import logging, sys
from datetime import UTC, datetime
from logging.handlers import MemoryHandler, RotatingFileHandler

from deployments import logs
from serve_app.access.audit import Audit
from serve_app.settings import Settings

# As Serve does in a replica.
serve = logging.getLogger("ray.serve")
file = RotatingFileHandler(sys.argv[1] + "/replica.log", maxBytes=1000, backupCount=2)
file.setFormatter(logging.Formatter("%(levelname)s {replica} %(message)s"))
serve.handlers = [MemoryHandler(1, target=file)]
logs.configure_logging(Settings(log_level="WARNING"))
logs.configure_audit_log()
if sys.argv[2:]:
    Audit("changes", lambda: datetime.now(UTC)).command("key created", "ada", "abc")
    logging.getLogger("serve_app").info("not wanted")
"""


def run(directory: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", REPLICA, str(directory), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_the_audit_log_is_on_the_output_and_in_a_file(tmp_path: Path) -> None:
    output = run(tmp_path, "write")
    (line,) = output.splitlines()
    assert json.loads(line)["credential"] == "cli:ada"
    assert (tmp_path / "audit_replica.log").read_text() == output
    assert (tmp_path / "replica.log").read_text() == ""


def test_a_server_that_writes_no_line_has_no_file(tmp_path: Path) -> None:
    assert run(tmp_path) == ""
    assert not (tmp_path / "audit_replica.log").exists()


JSON = """
import logging, sys
from logging.handlers import MemoryHandler, RotatingFileHandler

from deployments import logs
from serve_app.settings import Settings

serve = logging.getLogger("ray.serve")
file = RotatingFileHandler(sys.argv[1] + "/replica.log", maxBytes=9000, backupCount=2)
serve.handlers = [MemoryHandler(1, target=file)]
serve.setLevel("INFO")
logs.configure_logging(Settings(log_format="json"))
logging.getLogger("serve_app.jobs.log").info("song separated job=a took=1.5s")
serve.info("replica started")
"""


def test_a_log_file_is_json_if_the_settings_say_so(tmp_path: Path) -> None:
    """Serve's own lines too: a collector reads the file as one format."""
    command = [sys.executable, "-c", JSON, str(tmp_path)]
    subprocess.run(command, timeout=60, check=True)
    text = (tmp_path / "replica.log").read_text()
    first, second = map(json.loads, text.splitlines())
    assert (first["event"], first["job"]) == ("song separated", "a")
    assert (second["event"], second["logger"]) == ("replica started", "ray.serve")
