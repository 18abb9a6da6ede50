"""Try upgrades, scaling and the loss of a head on clusters of three Ray nodes.

    python -m tools.cluster [--only SCENARIO …] [--json FILE] [--logs FOLDER]
                            [--ha-proxy]

Each node has a network of its own on this machine (network namespaces, joined by a
bridge), as pods have. Postgres, S3, Redis and a load balancer run beside them. Needs
root, iproute2 and redis-server; S3 is Ceph's where it is installed. The exit status is
1 if a scenario missed a bar, and 2 if this machine can't run them.
"""

import argparse
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import s3
from tests.ports import free_port
from tools.chaos.receiver import Receiver
from tools.cluster import balancer, deployment, stores
from tools.cluster.network import Network, network
from tools.cluster.nodes import Cluster, Redis
from tools.cluster.outcome import Bars, Outcome, table
from tools.cluster.scenarios import SCENARIOS, Trial, other_version
from tools.cluster.stores import Stores

_ROOT = Path(__file__).resolve().parents[2]
_NEEDED = ("ip", "redis-server")
_SECRET = "whsec_" + "c3RlbXNlcnZlIG9uIHRocmVlIG5vZGVzIHN0ZW1zZXJ2ZSE="
_INTERRUPTED = 130
_NODES = ("head", "worker1", "worker2")


def main(arguments: Sequence[str]) -> int:
    """Run the scenarios and print their table."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.cluster", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--only", choices=SCENARIOS, nargs="+", default=[])
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument(
        "--ha-proxy", action="store_true", help="HAProxy in place of Serve's own proxy"
    )
    parser.add_argument("--logs", type=Path, help="folder for the logs of all nodes")
    options = parser.parse_args(arguments)
    if reason := _reason_not_to_run():
        print(f"tools.cluster: {reason}", file=sys.stderr)
        return 2
    print(f"S3 is {s3.choice()}", flush=True)
    names = [name for name in SCENARIOS if name in (options.only or SCENARIOS)]
    try:
        with _trial(options.ha_proxy, options.logs) as trial:
            outcomes = [_run(name, trial) for name in names]
    except KeyboardInterrupt:
        print("tools.cluster: interrupted; everything was stopped", file=sys.stderr)
        return _INTERRUPTED
    for line in [*table(outcomes), *_details(outcomes)]:
        print(line)
    if options.json is not None:
        found = [outcome.to_dict() for outcome in outcomes]
        options.json.write_text(json.dumps(found, indent=2))
    return 1 if any(list(outcome.problems()) for outcome in outcomes) else 0


def _reason_not_to_run() -> str:
    """Return what this machine lacks; empty if nothing."""
    if os.geteuid() != 0:
        return "only root can make network namespaces. Run it as root."
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} missing. Install iproute2 and redis-server."
    return ""


@contextmanager
def _trial(has_ha_proxy: bool, logs: Path | None) -> Iterator[Trial]:
    """Start a cluster and what it needs; in the end stop all that was started."""
    # Like Ctrl-C, so that everything is taken down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # moto logs each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trial")))
        machines = [f"{name}-{node}" for name in ("old", "new") for node in _NODES]
        net = stack.enter_context(network(machines))
        shared = stack.enter_context(stores.running(net.host, folder))
        port = free_port()
        environment = _environment(shared, f"http://{net.host}:{port}", has_ha_proxy)
        new_tree = other_version(_ROOT, folder / "tree")
        old, new = (
            _cluster(name, net, shared, tree, folder, environment)
            for name, tree in (("old", _ROOT), ("new", new_tree))
        )
        servers = {**old.servers, **new.servers}
        plan = balancer.Plan(net.host, port, servers, shared.routes)
        way_in = stack.enter_context(balancer.running(plan, folder))
        receiver = stack.enter_context(Receiver(_SECRET, seed=1, host=net.host))
        receiver.is_cutting = False
        stack.callback(_take_down, net, folder, logs)
        old.start()
        say("three nodes run")
        yield Trial(old, [new], way_in, shared, receiver, folder, say)


def _take_down(net: Network, folder: Path, logs: Path | None) -> None:
    """Kill all nodes; keep their logs if somebody wants them."""
    # A second Ctrl-C would leave something behind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for machine in net.machines.values():
        machine.kill()
    if logs is not None:
        for found in folder.glob("*/ray/session_2*/logs"):
            node = found.relative_to(folder).parts[0]
            shutil.copytree(found, logs / node, symlinks=True, dirs_exist_ok=True)
            shutil.copy(folder / node / "ray.log", logs / node)


def _environment(shared: Stores, public_url: str, has_ha_proxy: bool) -> dict[str, str]:
    """Return the environment of all pods: that of configs/kuberay with our stores."""
    return {
        **deployment.environment(),
        "STEMSERVE_DATABASE_URL": shared.database_url,
        "STEMSERVE_STORAGE": shared.storage,
        "STEMSERVE_PUBLIC_URL": public_url,
        "STEMSERVE_WEBHOOK_SECRETS": _SECRET,
        "STEMSERVE_ALLOW_PRIVATE_WEBHOOKS": "true",
        "AWS_ACCESS_KEY_ID": s3.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY,
        "RAY_SERVE_ENABLE_HA_PROXY": str(int(has_ha_proxy)),
    }


def _cluster(
    name: str,
    net: Network,
    shared: Stores,
    tree: Path,
    folder: Path,
    environment: Mapping[str, str],
) -> Cluster:
    head, *workers = _NODES
    return Cluster(
        name,
        net.machines[f"{name}-{head}"],
        {worker: net.machines[f"{name}-{worker}"] for worker in workers},
        Redis(shared.redis_address, shared.redis_password),
        secrets.token_hex(32),
        tree,
        folder,
        environment,
    )


def _run(name: str, trial: Trial) -> Outcome:
    trial.say(f"{name}: {(SCENARIOS[name].__doc__ or '').splitlines()[0]}")
    began = time.monotonic()
    try:
        outcome = SCENARIOS[name](trial)
    except Exception as error:
        # The other scenarios are tried all the same.
        faults = (f"{type(error).__name__}: {error}",)
        outcome = Outcome(name, time.monotonic() - began, Bars(), faults=faults)
    trial.stores.free_deleted()
    problems = list(outcome.problems())
    trial.say(f"{name}: {'; '.join(problems) if problems else 'all bars are kept'}")
    return outcome


def _details(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the durations of all steps, failed requests and missed bars."""
    for outcome in outcomes:
        steps = ", ".join(
            f"{step} {seconds:.0f} s" for step, seconds in outcome.times.items()
        )
        if steps:
            yield f"{outcome.scenario} took: {steps}"
        seen = [*outcome.notes, *outcome.failures()]
        yield from (f"{outcome.scenario}: {each}" for each in seen)
    for outcome in outcomes:
        yield from (f"MISSED {outcome.scenario}: {each}" for each in outcome.problems())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
