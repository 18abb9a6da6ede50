"""The whole server on one machine: `python -m deployments`, or `stemserve serve`."""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, NoReturn

from deployments import isolation

# Before the import of Ray, which reads the environment.
isolation.isolate()

from ray import serve

from deployments import config, console, local_ray, ray_errors, streaming
from deployments.app import build
from deployments.config import CheckedApplication
from deployments.console import Console
from deployments.local_ray import RayDidNotStart, RayDied
from serve_app.separation import allocator
from serve_app.settings import check as settings_check
from serve_app.settings import serve_config
from serve_app.settings.access import LOOPBACK_HOSTS

_RAY_DIED = 3

# Addresses of a server that listens on all interfaces: its URL is localhost.
_ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound


def main() -> int:
    """Serve until SIGINT or SIGTERM, then stop every process that was started."""
    options = _parse()
    for line in settings_check.warnings():
        print(f"stemserve: warning: {line}", file=sys.stderr)
    try:
        applications = config.read(options.config)
        _check_port(options.host, options.port)
        if options.metrics_port is not None:
            _check_port("127.0.0.1", options.metrics_port, "--metrics-port")
    except (OSError, ValueError) as error:
        print(f"stemserve: {error}", file=sys.stderr)
        return 2
    all_settings = [each.args.resolved_settings() for each in applications]
    # Serve's proxies read the environment, not `args`.
    origins = dict.fromkeys(
        origin
        for each, settings in zip(applications, all_settings, strict=True)
        for origin in config.page_origins(each, settings)
    )
    os.environ["STEMSERVE_CORS_ORIGINS"] = ",".join(origins)
    # Each application keeps its own, whatever the environment says now.
    applications = [
        _with_settings(each, cors_origins=settings.cors_origins)
        for each, settings in zip(applications, all_settings, strict=True)
    ]
    for settings in all_settings:
        isolation.close_data(settings)
    if _is_loopback(options.host):
        applications = [
            _restricted_to_loopback(each, options.host) for each in applications
        ]
    with console.opened() as terminal:
        status = _run(terminal, applications, options)
    if status == _RAY_DIED:
        # Ray's own exit handler would wait for the dead processes.
        isolation.forget()
        os._exit(status)
    return status


def _restricted_to_loopback(
    application: CheckedApplication, host: str
) -> CheckedApplication:
    """Allow only loopback hosts in requests, unless the application lists others."""
    if application.args.resolved_settings().allowed_hosts:
        return application
    return _with_settings(application, allowed_hosts=(*LOOPBACK_HOSTS, host))


def _with_settings(
    application: CheckedApplication, **changes: Any
) -> CheckedApplication:
    """Return the application with some of its settings changed."""
    settings = {**application.args.settings, **changes}
    args = application.args.model_copy(update={"settings": settings})
    return replace(application, args=args)


def _run(
    terminal: Console,
    applications: Sequence[CheckedApplication],
    options: argparse.Namespace,
) -> int:
    terminal.say(f"stemserve {version('stemserve')} is starting")
    try:
        with (
            local_ray.running(terminal.directory, options.metrics_port),
            streaming.running(applications, options.host, options.config),
        ):
            _serve(terminal, applications, options.host, options.port)
    except KeyboardInterrupt:
        terminal.say(
            "stemserve has stopped; unfinished jobs continue at the next start"
        )
        return 0
    except RayDied as error:
        terminal.say(
            f"stemserve stopped: {error}; unfinished jobs continue at the next start"
        )
        return _RAY_DIED
    except (RayDidNotStart, RuntimeError) as error:
        print(error, file=sys.stderr)  # Goes to the log.
        reason = str(error).strip().splitlines()[-1]
        terminal.say(f"stemserve could not start: {reason}")
        terminal.say(f"For details see {terminal.log}")
        return 1


def _serve(
    terminal: Console,
    applications: Sequence[CheckedApplication],
    host: str,
    port: int,
) -> NoReturn:
    serve.start(
        http_options={"host": host, "port": port},
        logging_config={"encoding": "TEXT", "enable_access_log": False},
    )
    for application in applications:
        _deploy(application)
    name = "localhost" if host in _ALL_INTERFACES else host
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}"
    terminal.say(f"stemserve is ready on {url}; API docs: {url}/docs")
    terminal.say(
        f"Logs: {local_ray.logs(terminal.directory)}. Press Ctrl-C to stop the server."
    )
    allocator.give_back()
    try:
        local_ray.watch()
    except KeyboardInterrupt:
        terminal.say("stemserve is stopping")
        raise


def _deploy(application: CheckedApplication) -> None:
    """Deploy an application.

    Raises RuntimeError, whose last line says why, if it does not start.
    """
    name = application.name
    try:
        serve.run(
            build(application.args), name=name, route_prefix=application.route_prefix
        )
    except RuntimeError as error:
        pools = serve.status().applications[name].deployments.values()
        messages = [pool.message for pool in pools]
        raise RuntimeError(
            "\n".join([*messages, ray_errors.reason_of(messages) or str(error)])
        ) from error


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--config", default=serve_config.DEFAULT)
    parser.add_argument("--metrics-port", type=int)
    return parser.parse_args()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_port(
    host: str, port: int, option: str = "--port, or `make serve PORT=…`"
) -> None:
    """Raise OSError at once if the port is in use; Serve would retry without end."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise OSError(
            f"can't listen on {host}:{port}: {error.strerror}. Choose another port "
            f"with {option}."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
