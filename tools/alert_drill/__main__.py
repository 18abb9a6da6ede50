"""Break a service until its alerts fire, and mend it until they resolve.

    python -m tools.alert_drill [--only FAULT]

The service runs on this machine with Postgres, an S3 server and one replica of each
deployment. A Prometheus (Debian: prometheus) evaluates configs/monitoring/alerts.yaml
with all durations divided by 30. The exit status is 1 if an alert does not fire, or
does not resolve once its fault is mended as docs/operations/alerts.md says.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.ports import free_port
from tools.alert_drill import installation, prometheus
from tools.alert_drill.faults import FAULTS, Fault
from tools.alert_drill.installation import Installation
from tools.alert_drill.prometheus import Prometheus, seconds_until
from tools.chaos.__main__ import cluster

_TIMEOUT_SECONDS = 240.0


def main(arguments: Sequence[str]) -> int:
    """Run the drill and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=FAULTS, action="append", default=[])
    wanted = parser.parse_args(arguments).only or list(FAULTS)
    # Durations are shorter, so counts must be newer. By default they come every 10 s.
    os.environ["RAY_metrics_report_interval_ms"] = "1000"  # noqa: SIM112  Ray's name
    metrics_port = free_port()
    failed = False
    with (
        tempfile.TemporaryDirectory() as name,
        cluster(_metrics_export_port=metrics_port) as port,
        installation.running(port, Path(name)) as place,
        prometheus.running(
            Path(name) / "prometheus", {"stemserve": port, "ray": metrics_port}
        ) as watch,
    ):
        print(f"{'fault':13}{'alert':28}{'fired after':>12}{'resolved after':>16}")
        for fault in wanted:
            for line, is_fine in drill(FAULTS[fault], place, watch):
                print(f"{fault:13}{line}", flush=True)
                failed = failed or not is_fine
    return 1 if failed else 0


def drill(
    fault: Fault, place: Installation, watch: Prometheus
) -> Iterator[tuple[str, bool]]:
    """Yield a line for each alert of a fault, and whether it fired and resolved."""
    early = set(fault.alerts) & watch.firing().keys()
    described: dict[str, str] = {}
    fired: dict[str, float | None] = dict.fromkeys(fault.alerts)
    try:
        with fault.broken(place):
            for alert in fault.alerts:
                fired[alert] = _seconds_until_firing(alert, watch, described)
    except Exception as error:
        # The other faults are tried all the same.
        yield f"FAILED: {error!r}", False
    for alert in fault.alerts:
        quiet = seconds_until(partial(_is_quiet, alert, watch), _TIMEOUT_SECONDS)
        line = f"{alert:28}{_shown(fired[alert]):>12}{_shown(quiet):>16}"
        is_fine = alert not in early and None not in (fired[alert], quiet)
        yield f"{line}  {described.get(alert, '')}", is_fine


def _seconds_until_firing(
    alert: str, watch: Prometheus, described: dict[str, str]
) -> float | None:
    def is_firing() -> bool:
        described.update(watch.firing())
        return alert in described

    return seconds_until(is_firing, _TIMEOUT_SECONDS)


def _is_quiet(alert: str, watch: Prometheus) -> bool:
    return alert not in watch.firing()


def _shown(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
