"""The route of metrics of an application, from the settings."""

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

from deployments.kernel import Kernel
from serve_app.api.part import ApiPart
from serve_app.storage.probe import probe
from serve_app.telemetry.exposition import Service
from serve_app.telemetry.http import part
from serve_app.telemetry.http.part import Metrics
from serve_app.telemetry.scrape import Scraper, Sources
from serve_app.telemetry.store import TelemetryStore


def parts(kernel: Kernel, systems: Sequence[ApiPart]) -> Sequence[ApiPart]:
    """Return the part with the route for an application with `systems`, if any."""
    settings = kernel.settings
    sources = Sources(
        TelemetryStore(kernel.database, kernel.clock).facts,
        partial(probe, kernel.storage),
        {"data": settings.data_dir.absolute(), "tmp": settings.working_dir},
    )
    kinds = {kind: each.name for each in systems for kind in each.kinds}
    metrics = Metrics(Scraper(sources), Service(version("stemserve"), kinds))
    return part.parts(metrics, settings.metrics_access)
