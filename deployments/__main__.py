"""The whole service on this machine: `python -m deployments`, or `stemserve serve`."""

import argparse
import logging
import os
import signal
import socket
import sys
from typing import NoReturn

import ray
from ray import serve

from deployments import python_path
from deployments.app import build
from deployments.args import AppArgs
from deployments.config import read_args
from serve_app import serve_config, settings_check
from serve_app.separation import allocator

# By default glibc gives the memory of each message back to the system and faults it in
# anew: a quarter of what Serve's proxy does for a song. Larger blocks it still does.
_TUNABLES = "glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=268435456"

# A laptop's cores are shared out by hand: Ray's own count is only bookkeeping here, and
# must not keep the service from starting on a single core.
_LOGICAL_CPUS = 8


def main() -> int:
    """Serve until SIGINT or SIGTERM, then stop every process that was started."""
    options = _parse()
    for line in settings_check.warnings():
        print(f"stemserve: warning: {line}", file=sys.stderr)
    try:
        args = read_args(options.config)
        _check_port(options.host, options.port)
    except (OSError, ValueError) as error:
        print(f"stemserve: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _start_ray()
        # Ray has put a handler of its own in its place, which aborts 3 seconds later.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _serve(args, options.host, options.port)
    except KeyboardInterrupt:
        print("stemserve is stopping", flush=True)
        return 0
    except RuntimeError as error:
        # The replicas' own errors, which say why, are in the lines above.
        print(f"stemserve could not start: {error}", file=sys.stderr)
        return 1
    finally:
        # An impatient second Ctrl-C would leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if ray.is_initialized():
            serve.shutdown()
        ray.shutdown()


def _serve(args: AppArgs, host: str, port: int) -> NoReturn:
    serve.start(
        http_options={"host": host, "port": port},
        logging_config={"encoding": "TEXT", "enable_access_log": False},
    )
    serve.run(build(args), name="stemserve", route_prefix="/")
    print(f"stemserve is ready on http://{host}:{port}", flush=True)
    while True:
        signal.pause()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104  a server listens
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--config", default=serve_config.DEFAULT)
    return parser.parse_args()


def _check_port(host: str, port: int) -> None:
    """Raise OSError now, rather than from a proxy that Serve starts over and over."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise OSError(
            f"can't listen on {host}:{port} ({error.strerror}): choose another port, "
            "with --port or by `make serve PORT=…`"
        ) from error


def _start_ray() -> None:
    # Said outright: ray.init would otherwise leave a token that changes later starts.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Five seconds by default, which a busy laptop needs only to import the proxy.
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    # Else Ray's workers, ours too, give way to everything, even Ray's idle daemons.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Ten times a second by default, which takes 4 % of a core for nothing.
    os.environ.setdefault("RAY_SERVE_CONTROL_LOOP_INTERVAL_S", "0.5")
    os.environ.setdefault(allocator.VARIABLE, _TUNABLES)
    ray.init(
        address="local",
        num_cpus=_LOGICAL_CPUS,
        runtime_env=python_path.runtime_env(),
        include_dashboard=False,
        logging_level=logging.WARNING,
        log_to_driver=True,
    )


if __name__ == "__main__":
    sys.exit(main())
