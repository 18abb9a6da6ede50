"""Policies that run in Serve's controller: quick, without I/O, and never raising."""

from typing import Any

from ray.serve.autoscaling_policy import replica_queue_length_autoscaling_policy
from ray.serve.config import AutoscalingContext

from deployments import reported_demands

# Before the name of the deployment, in what dispatchers report.
PREFIX = "demand of "

Decision = tuple[int | float, dict[str, Any]]


def by_demand(context: AutoscalingContext) -> Decision:
    """Return as many replicas as the unfinished jobs need, or usually needed.

    Serve applies its delays and limits to it. Without a recent report the number
    follows the requests, as by Serve's own policy.
    """
    found = reported_demands.find(
        str(context.app_name), context.deployment_name, float(context.current_time or 0)
    )
    if found is None:
        decision: Decision = replica_queue_length_autoscaling_policy(context)
        return decision
    return found, {}


def of_dispatchers(context: AutoscalingContext) -> Decision:
    """Keep what dispatchers report, and their number."""
    for name, replicas in (context.raw_metrics or {}).items():
        if name.startswith(PREFIX):
            for series in replicas.values():
                if series:
                    reported_demands.keep(
                        str(context.app_name),
                        name.removeprefix(PREFIX),
                        series[-1].timestamp,
                        series[-1].value,
                    )
    return context.target_num_replicas, {}
