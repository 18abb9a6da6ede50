"""Run Ray and Serve on this machine only, as long as this process runs."""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NoReturn

import psutil
import ray
from ray import serve
from ray._private import worker

from deployments import gate, isolation, python_path, router_loop
from serve_app.errors import AppError
from serve_app.separation import allocator

logger = logging.getLogger(__name__)

# The service divides the cores itself. Ray's count is only bookkeeping here, and must
# not keep the service from starting on a single core.
_LOGICAL_CPUS = 8

# By default glibc returns the memory of each message to the system and faults it in
# again, which takes a quarter of the proxy's work for a song. With these thresholds it
# does so for larger blocks only. Threads that have an arena each would keep what they
# freed apart from all others.
_TUNABLES = ":".join(
    (
        "glibc.malloc.mmap_threshold=67108864",
        "glibc.malloc.trim_threshold=268435456",
        "glibc.malloc.arena_max=2",
    )
)

# Whether Ray's agent exports metrics: its own, Serve's and the service's.
_METRICS = "RAY_enable_metrics_collection"

# Defaults for Ray and Serve; the user's environment overrides them.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's timeouts are much shorter, but a busy laptop may need a minute.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    "RAY_agent_register_timeout_ms": "180000",
    "RAY_worker_register_timeout_seconds": "300",
    # By default Ray's workers, our replicas too, have a lower priority than all else.
    "RAY_worker_niceness": "0",
    # By default a hung replica keeps its memory and device for the whole graceful
    # shutdown timeout.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # By default each of these runs many times a second, which only clusters need.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "1",
    "RAY_raylet_report_resources_period_milliseconds": "1000",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_DASHBOARD_AGENT_CHECK_PARENT_INTERVAL_S": "2",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "5000",
    "RAY_SERVE_EVENT_LOOP_MONITORING_INTERVAL_S": "60",
    "RAY_memory_monitor_refresh_ms": "2000",
    "RAY_raylet_check_gc_period_milliseconds": "5000",
    "RAY_kill_idle_workers_interval_ms": "5000",
    "RAY_gcs_pull_resource_loads_period_milliseconds": "10000",
    "RAY_grpc_client_check_connection_status_interval_milliseconds": "60000",
    "RAY_io_context_event_loop_lag_collection_interval_ms": "60000",
    # Ray's statistics about itself are not used here.
    "RAY_event_stats": "0",
    _METRICS: "0",
    # By default Serve's proxy trusts X-Forwarded-* from any client on this machine;
    # STEMSERVE_TRUSTED_PROXIES lists the proxies to trust.
    "FORWARDED_ALLOW_IPS": "",
    gate.VARIABLE: gate.IMPORT_PATH,
    router_loop.VARIABLE: router_loop.OF_PROXIES,
    allocator.VARIABLE: _TUNABLES,
}

# Enough for replicas to hand back running jobs, even on a busy machine.
_STOP_SECONDS = 120.0

# A short name, because the paths of Ray's sockets are long and limited.
_RAY = "ray"

_MAX_ATTEMPTS = 3
_RETRY_SECONDS = 5.0

_WATCH_SECONDS = 1.0


class RayDidNotStart(AppError):
    """Ray did not start on this machine."""

    code = "ray_did_not_start"


class RayDied(AppError):
    """One of the Ray processes that the server can't run without has ended."""

    code = "ray_died"


@contextmanager
def running(directory: Path, metrics_port: int | None = None) -> Iterator[None]:
    """Run Ray, and all that Serve runs on it, for the duration of the block.

    Ray's sockets and logs are below `directory`, which must be private to this user,
    because Ray lets everyone write to its own directories. The start is attempted three
    times, because a busy machine may be too slow; then raises RayDidNotStart. Ray's
    agent exports metrics on `metrics_port` of 127.0.0.1, or not if it is None. SIGINT
    and SIGTERM raise KeyboardInterrupt once, and are ignored during the shutdown. If
    the block raises RayDied, the processes are killed without a graceful shutdown,
    which would not work.
    """
    if metrics_port is not None:
        os.environ[_METRICS] = "1"
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(isolation.haproxy_files(directory))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_alive = True
    try:
        _start(directory / _RAY, metrics_port)
        # Replaces Ray's own handler, which aborts after 3 seconds.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _end_idle_helpers()
        yield
    except RayDied:
        is_alive = False
        raise
    finally:
        # A second Ctrl-C during the shutdown would leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if is_alive and ray.is_initialized():
            # In a thread: without a controller, shutdown would never return.
            stopping = Thread(target=_stop_serving, daemon=True)
            stopping.start()
            stopping.join(_STOP_SECONDS)
        if is_alive:
            ray.shutdown()
        _end_children()


def _stop_serving() -> None:
    """Stop all applications, and only then Serve's proxy.

    `serve.shutdown` kills the proxy at once, and with it all requests in progress.
    Without applications the proxy responds 503 to new ones.
    """
    try:
        names = list(serve.status().applications)
        # All begin at once: each may take as long as its requests.
        for name in names:
            serve.delete(name, _blocking=False)
        for name in names:
            serve.delete(name)
    except Exception as error:
        logger.warning("applications did not stop", exc_info=error)
    serve.shutdown()


def watch() -> NoReturn:
    """Wait; raise RayDied about a second after one of Ray's processes has ended.

    Ray itself would retry a dead GCS for a minute, then end this process without a
    message.
    """
    while True:
        time.sleep(_WATCH_SECONDS)
        for name, process in worker._global_node.dead_processes():
            raise RayDied(f"Ray's {name} has ended ({_status(process.returncode)})")


def logs(directory: Path) -> Path:
    """Return the directory of Serve's logs; Ray must be running."""
    session: str = ray.get_runtime_context().get_session_name()
    return directory / _RAY / session / "logs" / "serve"


def _start(directory: Path, metrics_port: int | None = None) -> None:
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=_LOGICAL_CPUS,
                runtime_env=python_path.runtime_env(),
                job_config=python_path.InstalledOnly(),
                include_dashboard=False,
                _temp_dir=str(directory),
                _metrics_export_port=metrics_port,
                logging_level=logging.WARNING,
                # Ray's output is in its log files; replicas use the console.
                log_to_driver=False,
            )
            return
        except Exception as err:
            logger.warning("Ray did not start attempt=%d", attempt, exc_info=err)
            # What was started so far must not hinder the next attempt.
            ray.shutdown()
            _end_children()
            if attempt == _MAX_ATTEMPTS:
                raise RayDidNotStart(_reason(err)) from err
        time.sleep(_RETRY_SECONDS)
        if metrics_port:
            _wait_for_port(metrics_port)


def _wait_for_port(port: int) -> None:
    """Wait until the agent of a failed start has ended: it is nobody's child then."""
    until_seconds = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < until_seconds:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _status(returncode: int) -> str:
    if returncode < 0:
        return signal.Signals(-returncode).name
    return f"exit status {returncode}"


def _reason(err: Exception) -> str:
    said = (str(err).strip().splitlines() or [type(err).__name__])[0]
    return (
        f"Ray did not start in {_MAX_ATTEMPTS} attempts ({said}). The machine may be "
        "too busy or out of memory: close other programs, then start the server again."
    )


def _end_children() -> None:
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=10)


def _end_idle_helpers() -> None:
    """Stop those of Ray's processes that a single machine does not need.

    The autoscaler, the log monitor for `log_to_driver`, and the rest of the dashboard
    use 180 MB and one per cent of a core. `ray.init` has no option to disable them.
    """
    node = worker._global_node
    node.kill_monitor(check_alive=False)
    node.kill_log_monitor(check_alive=False)
    node.kill_dashboard(check_alive=False)
