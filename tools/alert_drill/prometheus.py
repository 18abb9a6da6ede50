"""A Prometheus that evaluates our rules, faster."""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.ports import free_port
from tests.serve.service import wait_for

RULES = Path(__file__).parents[2] / "configs" / "monitoring" / "alerts.yaml"
SPEED = 30
# Ranges of hours are cut to this, or the drill would wait for them to pass.
_LONGEST_SECONDS = 90.0

_UNITS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(\d+)([smh])\b")
_RANGE = re.compile(r"\[[^\]]+\]")
_AGE = re.compile(r"(_oldest_seconds\) > )(\d+)")
_START_SECONDS = 60.0


def faster(rules: str) -> str:
    """Return rules whose durations and ages are divided by SPEED."""
    loaded = yaml.safe_load(rules)
    for group in loaded["groups"]:
        for rule in group["rules"]:
            rule["for"] = _shorter(rule["for"])
            ranges = _RANGE.sub(lambda found: _shorter(found[0]), rule["expr"])
            rule["expr"] = _AGE.sub(
                lambda found: f"{found[1]}{int(found[2]) / SPEED}", ranges
            )
    text: str = yaml.safe_dump(loaded)
    return text


def _shorter(text: str) -> str:
    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[1]) * _UNITS[found[2]] / SPEED
        return f"{min(seconds, _LONGEST_SECONDS) * 1000:.0f}ms"

    return _DURATION.sub(shorter, text)


class Prometheus:
    """The alerts of a running Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url

    def firing(self) -> Mapping[str, str]:
        """Return the descriptions of the firing alerts, by name."""
        return {
            alert["labels"]["alertname"]: alert["annotations"]["description"]
            for alert in self._get("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def has(self, expression: str) -> bool:
        """Return whether an expression has a value now."""
        return bool(self._get("query", query=expression)["result"])

    def is_ready(self) -> bool:
        """Return whether it responds."""
        try:
            return httpx.get(f"{self._url}/-/ready").is_success
        except httpx.TransportError:
            return False

    def _get(self, path: str, **parameters: str) -> Any:
        response = httpx.get(
            f"{self._url}/api/v1/{path}", params=parameters, timeout=30
        )
        return response.raise_for_status().json()["data"]


@contextmanager
def running(folder: Path, targets: Mapping[str, int]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the targets, names and ports, every second."""
    folder.mkdir()
    (folder / "alerts.yaml").write_text(faster(RULES.read_text()))
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for name, port in targets.items()
    ]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={folder / 'prometheus.yaml'}"),
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_for(server.is_ready, _START_SECONDS)
        yield server
    finally:
        process.terminate()
        process.wait()


def seconds_until(condition: Any, timeout_seconds: float) -> float | None:
    """Return how long it took until `condition()` is true, or None if it never was."""
    began = time.monotonic()
    while time.monotonic() - began < timeout_seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.5)
    return None
