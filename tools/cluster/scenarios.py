"""What is done to the clusters while clients use them."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from serve_app.database import Database
from serve_app.storage import addresses
from serve_app.storage.s3 import S3Storage
from tools.chaos.receiver import Receiver
from tools.cluster import deployment
from tools.cluster.balancer import Balancer
from tools.cluster.deployment import API, Config, DeploymentFailed, Serve
from tools.cluster.listening import Audience
from tools.cluster.nodes import Cluster, wait_until
from tools.cluster.outcome import Bars, Outcome, Streams, refused_seconds
from tools.cluster.paced_job import PacedJob
from tools.cluster.stores import Stores
from tools.cluster.traffic import Traffic, traffic

LISTENERS, PLAYERS = 100, 20
NEW_VERSION = "0.1.1"
_FULL = 100
# KubeRay's stepSizePercent and intervalSeconds, in less time.
_STEP_PERCENT, _STEP_SECONDS = 25, 10.0
# KubeRay's rayClusterDeletionDelaySeconds: longer than the streams last.
_DELETION_SECONDS = 45.0
_STREAM_SECONDS = 30.0
# Before and after each change.
_CALM_SECONDS = 15.0
# From the death of the head's container to its next start.
_RESTART_SECONDS = 5.0
_UP_SECONDS = 120.0
_REFUSED = "replicas can run on 2 nodes"
_RETENTION_SECONDS = 3600


@dataclass
class Trial:
    """The clusters and stores of a trial. `cluster` is the one that serves now.

    `others` are the clusters that an upgrade may start, with the tree that they run.
    """

    cluster: Cluster
    others: list[Cluster]
    balancer: Balancer
    stores: Stores
    receiver: Receiver
    folder: Path
    say: Callable[[str], None]
    config: Config = field(default_factory=dict)

    @property
    def serve(self) -> Serve:
        """Serve on the cluster that serves now."""
        return Serve(self.cluster)

    def deploy(self, cluster: Cluster, **counts: int) -> None:
        """Deploy the config on a cluster; return when its proxies answer the probe."""
        Serve(cluster).deploy(self.config, **counts)
        wait_until(
            lambda: all(map(self.balancer.is_up, cluster.servers)),
            _UP_SECONDS,
            "the proxies' probes",
        )

    def make_ready(self) -> None:
        """Start and deploy the first cluster, and send it all of the traffic."""
        if self.config:
            return
        self.config = deployment.config(
            retention_seconds=_RETENTION_SECONDS, stream_seconds=_STREAM_SECONDS
        )
        self.deploy(self.cluster)
        self.balancer.weigh(dict.fromkeys(self.cluster.servers, _FULL))


@contextmanager
def _used(trial: Trial) -> Iterator[Traffic]:
    """Load the service until the context exits, with some time before and after."""
    trial.make_ready()
    clients = traffic(trial.balancer.url, trial.receiver)
    with clients.flowing():
        clients.separate_with_demo(trial.folder)
        time.sleep(_CALM_SECONDS)
        yield clients
        time.sleep(_CALM_SECONDS)


def refusal(trial: Trial) -> Outcome:
    """Deploy with SQLite and a directory: Serve must say that two nodes can't share."""
    began, faults = time.monotonic(), []
    config = deployment.config(
        database_url=f"sqlite:///{trial.folder / 'jobs.sqlite3'}",
        storage=str(trial.folder / "files"),
    )
    try:
        trial.serve.deploy(config)
        faults.append("an application with SQLite started on two nodes")
    except DeploymentFailed as failed:
        if _REFUSED not in str(failed):
            faults.append(f"the reason is not about nodes: {str(failed)[-500:]}")
    if any(trial.serve.status().replicas.values()):
        faults.append("replicas of an application with SQLite were started")
    return Outcome("refusal", time.monotonic() - began, Bars(), faults=tuple(faults))


def config_change(trial: Trial) -> Outcome:
    """Change an argument, for which Serve replaces all replicas."""
    began = time.monotonic()
    with _used(trial) as clients:
        args = trial.config["applications"][0]["args"]
        args["settings"]["retention_seconds"] += 60
        times = {"update": trial.serve.update(trial.config)}
    return _outcome("config", began, clients, Bars(), times=times)


def code_change(trial: Trial) -> Outcome:
    """Start a second cluster with another version, and move the traffic to it.

    As KubeRay's NewClusterWithIncrementalUpgrade; the old cluster is deleted later.
    """
    began, times = time.monotonic(), {}
    with _used(trial) as clients:
        old, new = trial.cluster, trial.others.pop()
        times["new cluster"] = _timed(lambda: _start(trial, new))
        times["move"] = _timed(lambda: _move(trial.balancer, old, new))
        trial.cluster = new
        time.sleep(_DELETION_SECONDS)
        times["deletion"] = _timed(old.stop)
        served = httpx.get(f"{trial.balancer.url}/openapi.json", timeout=60).json()
    version = served["info"]["version"]
    fault = f"version {version} is served, expected {NEW_VERSION}"
    faults = () if version == NEW_VERSION else (fault,)
    return _outcome("code", began, clients, Bars(), times=times, faults=faults)


def _start(trial: Trial, cluster: Cluster) -> None:
    cluster.start()
    trial.deploy(cluster)


def _move(balancer: Balancer, old: Cluster, new: Cluster) -> None:
    """Move the traffic step by step."""
    for percent in range(_STEP_PERCENT, _FULL + 1, _STEP_PERCENT):
        balancer.weigh(dict.fromkeys(new.servers, percent))
        balancer.weigh(dict.fromkeys(old.servers, _FULL - percent))
        time.sleep(_STEP_SECONDS)


def scaling(trial: Trial) -> Outcome:
    """Run 1, 3 and again 1 Apis under many streams."""
    began, times = time.monotonic(), {}
    trial.make_ready()
    times["to 1"] = trial.serve.deploy(deployment.scaled(trial.config, 1), **{API: 1})
    with _used(trial) as clients, Database(trial.stores.database_url) as database:
        storage = S3Storage(addresses.parsed(trial.stores.storage))
        job = PacedJob(database, storage, trial.folder)
        audience = Audience(trial.balancer.url, job.id, LISTENERS + PLAYERS)
        with audience.listening(), job.running():
            audience.open(LISTENERS // 2, PLAYERS // 2)
            for number in (3, 1):
                scaled = deployment.scaled(trial.config, number)
                times[f"to {number} again" if number == 1 else f"to {number}"] = (
                    trial.serve.deploy(scaled, **{API: number})
                )
                if number == 3:
                    # On all three, two of which end.
                    audience.open(LISTENERS // 2, PLAYERS // 2)
                time.sleep(_CALM_SECONDS)
        streams = audience.result(job.heard())
    trial.serve.deploy(trial.config)
    bars = Bars(resumed_seconds=2.0)
    return _outcome("scale", began, clients, bars, times=times, streams=streams)


def head_loss(trial: Trial) -> Outcome:
    """Kill the head, and start it again with the same Redis."""
    began, times = time.monotonic(), {}
    with _used(trial) as clients:
        before = _ended(trial)
        trial.cluster.kill_head()
        time.sleep(_RESTART_SECONDS)
        times["head"] = _timed(trial.cluster.start_head)
        ended = _ended(trial) - before
        times["Serve"] = trial.serve.wait(lambda status: status.is_running({}))
    note = f"{ended} jobs ended while there was no head"
    return _outcome(
        "head",
        began,
        clients,
        Bars(failed_requests=None),
        times=times,
        notes=(note,),
        faults=() if ended else (note,),
    )


def _ended(trial: Trial) -> int:
    """Return how many jobs have told their end so far."""
    return sum(map(len, list(trial.receiver.taken.values())))


SCENARIOS: Mapping[str, Callable[[Trial], Outcome]] = {
    "refusal": refusal,
    "config": config_change,
    "scale": scaling,
    "head": head_loss,
    # The last one: it ends with the new cluster.
    "code": code_change,
}


def _outcome(
    name: str,
    began: float,
    clients: Traffic,
    bars: Bars,
    times: Mapping[str, float],
    streams: Streams | None = None,
    notes: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
) -> Outcome:
    """Return the outcome of a scenario whose clients have stopped."""
    jobs = clients.settled()
    return Outcome(
        name,
        time.monotonic() - began,
        bars,
        clients.calls,
        jobs,
        streams,
        refused_seconds(clients.timeline.failed_at),
        times,
        notes,
        faults,
    )


def _timed(act: Callable[[], None]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def other_version(tree: Path, folder: Path) -> Path:
    """Copy a source tree, with another version of the package; return the copy."""
    for package in ("serve_app", "deployments"):
        shutil.copytree(
            tree / package,
            folder / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    metadata = folder / f"stemserve-{NEW_VERSION}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(
        f"Metadata-Version: 2.4\nName: stemserve\nVersion: {NEW_VERSION}\n"
    )
    return folder
