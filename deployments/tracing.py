"""The traces of a replica, from the settings."""

import os
from importlib.metadata import version

from deployments import draining, logs
from serve_app.settings import Settings
from serve_app.telemetry.meter import Meter
from serve_app.telemetry.recorder import Recorder
from serve_app.telemetry.tracing.traces import NO_TRACES, Traces

_DISABLED = "OTEL_SDK_DISABLED"


def traces(settings: Settings, meter: Meter) -> Traces:
    """Return the traces of this replica; they are exported before it has stopped."""
    is_disabled = os.environ.get(_DISABLED, "").strip().lower() == "true"
    if settings.traces == "off" or is_disabled:
        return NO_TRACES
    # Imported here: it is an optional dependency.
    from serve_app.telemetry.tracing.otlp import OtlpTracer

    process = logs.process()
    resource = {
        "service.name": "stemserve",
        "service.version": version("stemserve"),
        "service.instance.id": process.get("replica", str(os.getpid())),
        **{f"stemserve.{name}": value for name, value in process.items()},
    }
    tracer = OtlpTracer(resource, Recorder(meter).spans_dropped)
    draining.when_stopped(tracer.close)
    return Traces(tracer)
