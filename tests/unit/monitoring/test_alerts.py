"""The alert rules fire when they should, and the runbook knows each of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.monitoring import promtool

ROOT = Path(__file__).parents[3]
RULES = ROOT / "configs" / "monitoring" / "alerts.yaml"
RUNBOOK = "docs/operations/alerts.md"
CASES = Path(__file__).with_name("alerts_test.yaml")

ALERTS: Mapping[str, Any] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}


def entries() -> Mapping[str, str]:
    """Return the runbook's entries by the alert in their heading."""
    parts = re.split(r"^## (Stemserve\w+)\n", (ROOT / RUNBOOK).read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_alert_fires_when_it_should() -> None:
    promtool.run("test", "rules", CASES)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_both_ways(name: str) -> None:
    groups = yaml.safe_load(CASES.read_text())["tests"]
    cases = [
        case
        for group in groups
        if group["name"].startswith(f"{name} ")
        for case in group.get("alert_rule_test", [])
        if case["alertname"] == name
    ]
    assert any(case.get("exp_alerts") for case in cases), "never fires"
    assert not all(case.get("exp_alerts") for case in cases), "is never quiet"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["for"]
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOK}#{name.lower()}"


def test_the_runbook_has_the_alerts_in_their_order() -> None:
    assert list(entries()) == list(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_entry_says_how_to_see_and_mend_it(name: str) -> None:
    entry = entries()[name]
    for part in ("**Means.**", "**Threshold.**", "**See it.**", "**Mend it.**"):
        assert part in entry, part
    assert ALERTS[name]["labels"]["severity"] in entry
    assert "```sh" in entry
