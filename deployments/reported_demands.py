"""What dispatchers report to Serve's controller: how many replicas pools need.

Serve pickles a policy with its module, so each policy has a copy of that module's
variables. This module is imported in the controller, and they share it.
"""

from dataclasses import dataclass, field

from serve_app.scaling.demand import Usual

# Dispatchers report every ten seconds. Serve replaces one that is gone within a minute.
_VALID_SECONDS = 90.0


@dataclass
class _Reports:
    at: float = float("-inf")
    replicas: float = 0.0
    usual: Usual = field(default_factory=Usual)


# By application and deployment.
_reports: dict[tuple[str, str], _Reports] = {}


def keep(application: str, deployment: str, at: float, replicas: float) -> None:
    """Remember a report of a time (Unix), unless there is a newer one."""
    found = _reports.setdefault((application, deployment), _Reports())
    if found.at <= at:
        found.at, found.replicas = at, replicas
        found.usual.add(at, replicas)


def find(application: str, deployment: str, now: float) -> float | None:
    """Return how many replicas a deployment needs, now or usually, if that is more.

    None without a recent report.
    """
    found = _reports.get((application, deployment))
    if found is None or now - found.at > _VALID_SECONDS:
        return None
    return max(found.replicas, found.usual.standby(now))
