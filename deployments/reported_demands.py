"""What dispatchers report to Serve's controller: how many replicas pools need.

Serve pickles a policy with its module, so each policy has a copy of that module's
variables. This module is imported in the controller, and they share it.
"""

from dataclasses import dataclass

# Dispatchers report every ten seconds. Serve replaces one that is gone within a minute.
_VALID_SECONDS = 90.0


@dataclass(frozen=True)
class _Report:
    at: float
    replicas: float


# By application and deployment.
_reports: dict[tuple[str, str], _Report] = {}


def keep(application: str, deployment: str, at: float, replicas: float) -> None:
    """Remember a report of a time (Unix), unless there is a newer one."""
    key = (application, deployment)
    if key not in _reports or _reports[key].at <= at:
        _reports[key] = _Report(at, replicas)


def find(application: str, deployment: str, now: float) -> float | None:
    """Return how many replicas a deployment needs; None without a recent report."""
    report = _reports.get((application, deployment))
    if report is None or now - report.at > _VALID_SECONDS:
        return None
    return report.replicas
