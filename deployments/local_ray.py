"""Ray and Serve on this machine alone, for as long as this process lives."""

import logging
import os
import signal
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

from deployments import gate, isolation, python_path
from serve_app.errors import AppError
from serve_app.separation import allocator

logger = logging.getLogger(__name__)

# A laptop's cores are shared out by hand: Ray's own count is only bookkeeping here, and
# must not keep the service from starting on a single core.
_LOGICAL_CPUS = 8

# By default glibc gives the memory of each message back to the system and faults it in
# anew: a quarter of what Serve's proxy does for a song. Larger blocks it still does.
_TUNABLES = "glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=268435456"

# What Ray and Serve are told unless the user's environment says otherwise.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A busy laptop needs a minute for what takes seconds: Ray gives up much sooner.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    "RAY_agent_register_timeout_ms": "180000",
    "RAY_worker_register_timeout_seconds": "300",
    # Else Ray's workers, ours too, give way to everything, even Ray's idle daemons.
    "RAY_worker_niceness": "0",
    # Else a replica that hangs is asked to stop, and keeps its memory and its device as
    # long as a healthy one may take to finish its songs.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # Each of these is done many times a second by default, for a cluster's sake.
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
    # Statistics of Ray about itself, which nobody reads here.
    "RAY_event_stats": "0",
    "RAY_enable_metrics_collection": "0",
    # Else Serve's proxy believes X-Forwarded-* of whatever connects from this machine:
    # STEMSERVE_TRUSTED_PROXIES says whom to believe.
    "FORWARDED_ALLOW_IPS": "",
    gate.VARIABLE: gate.IMPORT_PATH,
    allocator.VARIABLE: _TUNABLES,
}

# Songs under way are handed back within it, even on a busy machine.
_STOP_SECONDS = 120.0

# Below the directory of a start; short, since Ray's sockets lie deep in it.
_RAY = "ray"

_TRIES = 3
_PAUSE_SECONDS = 5.0

_WATCH_SECONDS = 1.0


class RayDidNotStart(AppError):
    """Ray's processes did not come up on this machine."""

    code = "ray_did_not_start"


class RayDied(AppError):
    """One of Ray's processes has ended, and without it nothing goes on."""

    code = "ray_died"


@contextmanager
def running(directory: Path) -> Iterator[None]:
    """Run Ray for the length of the block; whatever Serve runs in it ends with it.

    Ray's sockets and logs go below `directory`, which must be closed to other users:
    Ray lets everyone write to its own directories. A machine that is busy gets three
    tries. SIGINT and SIGTERM raise KeyboardInterrupt once, and are ignored while all
    that was started is ended. Raises RayDidNotStart. After `RayDied` out of the block
    nothing is asked to stop, since nothing would: it is ended.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(isolation.haproxy_files(directory))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_alive = True
    try:
        _start(directory / _RAY)
        # Ray has put a handler of its own in place, which aborts 3 seconds later.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _end_idle_helpers()
        yield
    except RayDied:
        is_alive = False
        raise
    finally:
        # An impatient second Ctrl-C would leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if is_alive and ray.is_initialized():
            # A controller that never came up would be waited for without end.
            stopping = Thread(target=serve.shutdown, daemon=True)
            stopping.start()
            stopping.join(_STOP_SECONDS)
        if is_alive:
            ray.shutdown()
        _end_children()


def watch() -> NoReturn:
    """Sleep; raise RayDied within a second or so of the end of one of Ray's processes.

    Ray itself looks for a GCS that has gone for a minute, and then ends this process
    without a word.
    """
    while True:
        time.sleep(_WATCH_SECONDS)
        for name, process in worker._global_node.dead_processes():
            raise RayDied(f"{name} of Ray has ended ({_status(process.returncode)})")


def logs(directory: Path) -> Path:
    """Return where Serve's replicas and proxies write their logs, once Ray runs."""
    session: str = ray.get_runtime_context().get_session_name()
    return directory / _RAY / session / "logs" / "serve"


def _start(directory: Path) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            ray.init(
                address="local",
                num_cpus=_LOGICAL_CPUS,
                runtime_env=python_path.runtime_env(),
                job_config=python_path.InstalledOnly(),
                include_dashboard=False,
                _temp_dir=str(directory),
                logging_level=logging.WARNING,
                # Its lines are in its log files; ours come through the console.
                log_to_driver=False,
            )
            return
        except Exception as err:
            logger.warning("Ray did not start attempt=%d", attempt, exc_info=err)
            # Whatever kept it, what was started so far must not be in the way.
            ray.shutdown()
            _end_children()
            if attempt == _TRIES:
                raise RayDidNotStart(_reason(err)) from err
        time.sleep(_PAUSE_SECONDS)


def _status(returncode: int) -> str:
    if returncode < 0:
        return signal.Signals(-returncode).name
    return f"exit status {returncode}"


def _reason(err: Exception) -> str:
    said = (str(err).strip().splitlines() or [type(err).__name__])[0]
    return (
        f"Ray did not start in {_TRIES} tries ({said}). The machine may be too busy or "
        "out of memory: close what is at work, and start again."
    )


def _end_children() -> None:
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=10)


def _end_idle_helpers() -> None:
    """End those of Ray's processes that do nothing for a single machine.

    Its autoscaler, the reader of log files for `log_to_driver`, and what is left of the
    dashboard hold 180 MB and a percent of a core. `ray.init` has no option for them.
    """
    node = worker._global_node
    node.kill_monitor(check_alive=False)
    node.kill_log_monitor(check_alive=False)
    node.kill_dashboard(check_alive=False)
