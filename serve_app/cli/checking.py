"""`stemserve check`: find the faults of configs and manifests."""

import sys
from collections.abc import Sequence
from pathlib import Path

from deployments.checking import check
from serve_app.settings import serve_config

_FAULTS = 1
# The exit status that shells and typer use for wrong usage.
_WRONG_USE = 2
_STANDARD_INPUT = "-"


def run(configs: Sequence[Path]) -> int:
    """Print the faults of files, one a line, and return the exit status."""
    return max(map(_checked, configs))


def _checked(config: Path) -> int:
    try:
        name, text = _read(config)
        findings = check.findings(text)
    except OSError as err:
        print(err, file=sys.stderr)
        return _WRONG_USE
    except (UnicodeDecodeError, check.NothingToCheck) as err:
        print(f"{config}: {err}", file=sys.stderr)
        return _WRONG_USE
    for finding in findings:
        print(f"{name}:{finding.line}: {finding.text}")
    if not findings:
        print(f"{name}: no faults found")
    return _FAULTS if findings else 0


def _read(config: Path) -> tuple[str, str]:
    """Return the name and the text of a file, or of standard input for `-`."""
    if str(config) == _STANDARD_INPUT:
        return "standard input", sys.stdin.read()
    path = serve_config.find(config)
    return str(path), path.read_text(encoding="utf-8")
