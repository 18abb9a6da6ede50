"""The routes for operators of an application, from the settings."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve import context
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ReplicaState

from deployments.kernel import Kernel
from serve_app.api.part import ApiPart
from serve_app.storage.probe import probe
from serve_app.telemetry import batch_fill
from serve_app.telemetry.exposition import Service
from serve_app.telemetry.http import operations, part
from serve_app.telemetry.http.operations import OperationsServices
from serve_app.telemetry.http.part import Metrics
from serve_app.telemetry.operations import Operations, PoolFacts
from serve_app.telemetry.recent import RecentStore
from serve_app.telemetry.scrape import WAIT_SECONDS, Scraper, Sources
from serve_app.telemetry.store import TelemetryStore

logger = logging.getLogger(__name__)


# No longer than the other sources of the figures.
_BATCH_FILL_SECONDS = WAIT_SECONDS


def parts(
    kernel: Kernel,
    systems: Sequence[ApiPart],
    separators: DeploymentHandle | None = None,
) -> Sequence[ApiPart]:
    """Return the parts with the routes of an application that has `systems`.

    `separators` are the replicas that know how full their batches were.
    """
    settings = kernel.settings
    sources = Sources(
        TelemetryStore(kernel.database, kernel.clock).facts,
        partial(probe, kernel.storage),
        {"data": settings.data_dir.absolute(), "tmp": settings.working_dir},
    )
    kinds = {kind: each.name for each in systems for kind in each.kinds}
    scraper = Scraper(sources)
    metrics = Metrics(scraper, Service(version("stemserve"), kinds))
    recent = RecentStore(kernel.database, kernel.clock)
    fill = partial(_batch_fill, separators)
    seen = Operations(scraper, recent.facts, _pools, fill)
    return (
        *part.parts(metrics, settings.metrics_access),
        operations.part(OperationsServices(seen, kinds)),
    )


def _pools() -> Mapping[str, PoolFacts]:
    """Return the replicas of each pool of this application, as Serve counts them."""
    application = serve.get_replica_context().app_name
    # What `serve.status()` is made of; that leaves the targets out.
    details = context._get_global_client().get_serve_details()
    pools = details["applications"][application]["deployments"]
    return {name: _pool(pool) for name, pool in pools.items()}


def _pool(details: Mapping[str, Any]) -> PoolFacts:
    states = Counter(ReplicaState(each["state"]) for each in details["replicas"])
    return PoolFacts(
        running=states[ReplicaState.RUNNING],
        starting=states[ReplicaState.STARTING],
        target=details["target_num_replicas"],
    )


async def _batch_fill(separators: DeploymentHandle | None) -> float | None:
    """Return the mean fill of batches of all replicas; None if it is not known."""
    if separators is None:
        return None
    try:
        asked = separators.broadcast("batch_fill")
        found = await asked.results_async(timeout_s=_BATCH_FILL_SECONDS)
    except (TimeoutError, RayError, RayServeException) as error:
        logger.warning("batch fill not read error=%s", type(error).__name__)
        return None
    return batch_fill.mean(found)
