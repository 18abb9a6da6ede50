"""The whole service on this machine: `python -m deployments`, or `stemserve serve`."""

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import ray
import yaml
from pydantic import ValidationError
from ray import serve

from deployments.app import build
from deployments.args import AppArgs
from serve_app.separation import allocator

_DEFAULT_CONFIG = Path(__file__).parent.parent / "configs" / "local.yaml"

# By default glibc gives the memory of each message back to the system and faults it in
# anew: a quarter of what Serve's proxy does for a song. Larger blocks it still does.
_TUNABLES = "glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=268435456"

# A laptop's cores are shared out by hand: Ray's own count is only bookkeeping here, and
# must not keep the service from starting on a single core.
_LOGICAL_CPUS = 8


def main() -> int:
    """Serve until SIGINT or SIGTERM, then stop every process that was started."""
    options = _parse()
    try:
        args = read_args(options.config)
        _check_port(options.host, options.port)
    except (OSError, ValueError) as error:
        print(f"stemserve: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _start_ray()
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


def read_args(config: Path) -> AppArgs:
    """Return the application's arguments in a Serve config file.

    Raises OSError or ValueError, the latter for what is not in the schema too.
    """
    document: Any = yaml.safe_load(config.read_text())
    applications = document.get("applications") if isinstance(document, dict) else None
    if not applications or len(applications) != 1:
        raise ValueError(f"{config}: exactly one entry is wanted under `applications`")
    try:
        return AppArgs.model_validate(applications[0].get("args") or {})
    except ValidationError as error:
        raise ValueError(f"{config}: {error}") from error


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104  a server listens
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--config", type=Path, default=_DEFAULT_CONFIG)
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
    # Else Serve's proxy believes X-Forwarded-* of whatever connects from this machine:
    # STEMSERVE_TRUSTED_PROXIES says whom to believe.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
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
        include_dashboard=False,
        logging_level=logging.WARNING,
        log_to_driver=True,
    )


if __name__ == "__main__":
    sys.exit(main())
