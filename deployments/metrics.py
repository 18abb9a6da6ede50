"""The routes for operators of an application, from the settings."""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version

from ray import serve

from deployments.kernel import Kernel
from serve_app.api.part import ApiPart
from serve_app.storage.probe import probe
from serve_app.telemetry.exposition import Service
from serve_app.telemetry.http import operations, part
from serve_app.telemetry.http.operations import OperationsServices
from serve_app.telemetry.http.part import Metrics
from serve_app.telemetry.operations import Operations, PoolFacts
from serve_app.telemetry.recent import RecentStore
from serve_app.telemetry.scrape import Scraper, Sources
from serve_app.telemetry.store import TelemetryStore


def parts(kernel: Kernel, systems: Sequence[ApiPart]) -> Sequence[ApiPart]:
    """Return the parts with the routes of an application that has `systems`."""
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
    seen = Operations(scraper, recent.facts, _pools)
    return (
        *part.parts(metrics, settings.metrics_access),
        operations.part(OperationsServices(seen, kinds)),
    )


def _pools() -> Mapping[str, PoolFacts]:
    """Return the replicas of each pool of this application, as Serve counts them."""
    application = serve.get_replica_context().app_name
    pools = serve.status().applications[application].deployments
    return {
        name: PoolFacts(
            running=_count(pool.replica_states, "RUNNING"),
            starting=_count(pool.replica_states, "STARTING"),
        )
        for name, pool in pools.items()
    }


def _count(states: Mapping[str, int], state: str) -> int:
    return int(states.get(state, 0))
