"""The drill evaluates the rules of production, only faster."""

from pathlib import Path

import yaml

from tests.unit.monitoring import promtool
from tests.unit.monitoring.test_alerts import ALERTS, RULES
from tools.alert_drill.faults import FAULTS, NOT_DRILLED
from tools.alert_drill.prometheus import faster

RULE = """
groups:
  - name: one
    rules:
      - alert: Old
        expr: max(some_oldest_seconds) > 300 and rate(x[5m]) > 2 and y[6h:1m] > 3
        for: 10m
"""


def test_durations_and_ages_are_divided_by_thirty() -> None:
    rule = yaml.safe_load(faster(RULE))["groups"][0]["rules"][0]
    assert rule["for"] == "20000ms"
    assert rule["expr"] == (
        "max(some_oldest_seconds) > 10.0 and rate(x[10000ms]) > 2 "
        "and y[90000ms:2000ms] > 3"
    )


def test_faster_rules_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(faster(RULES.read_text()))
    promtool.run("check", "rules", path)


def test_every_alert_has_a_fault_or_a_reason_why_not() -> None:
    drilled = [alert for fault in FAULTS.values() for alert in fault.alerts]
    assert sorted([*drilled, *NOT_DRILLED]) == sorted(ALERTS)
