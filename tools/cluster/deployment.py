"""The Serve config and the environment of configs/kuberay, made small for a trial."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from serve_app.separation.models import FOR_LOAD_TESTS
from tools.cluster.nodes import Cluster, wait_until

APPLICATION = "stemserve"
API = "Api"
_ROOT = Path(__file__).resolve().parents[2]
_BASE = _ROOT / "configs" / "kuberay" / "base"
_TIMEOUT_SECONDS = 600.0
_REQUEST_SECONDS = 60.0
# Two workers with two CPUs each hold two of each, and one more of those that an update
# starts before it stops old ones.
_POOLS: Mapping[str, Mapping[str, Any]] = {
    "api": {"num_cpus": 0.2, "num_replicas": 2},
    "dispatcher": {"num_cpus": 0.1, "num_replicas": 2},
    "separator": {"num_cpus": 0.5, "num_gpus": 0, "num_replicas": 2},
    "analyzer": {"num_cpus": 0.5, "num_replicas": 2},
}

Config = dict[str, Any]


class DeploymentFailed(Exception):
    """Serve says that the application can't be deployed; the message says why."""


def environment() -> dict[str, str]:
    """Return the variables of the ConfigMap that all pods have."""
    kustomization = yaml.safe_load((_BASE / "kustomization.yaml").read_text())
    (generator,) = kustomization["configMapGenerator"]
    pairs = (each.partition("=") for each in generator["literals"])
    return {name: value for name, _, value in pairs}


def config(**settings: Any) -> Config:
    """Return the Serve config of the RayService, with small pools of fixed sizes.

    Its model costs nothing; `settings` are added to its settings.
    """
    service = yaml.safe_load((_BASE / "rayservice.yaml").read_text())
    found: Config = yaml.safe_load(service["spec"]["serveConfigV2"])
    (application,) = found["applications"]
    args = application["args"]
    for name, options in _POOLS.items():
        pool = {key: value for key, value in args[name].items() if key != "autoscaling"}
        args[name] = {**pool, **options}
    small = {"model": FOR_LOAD_TESTS.name, "device": "cpu", "threads": 1}
    args["settings"] = {**args["settings"], **small, **settings}
    return found


def scaled(config: Config, apis: int) -> Config:
    """Return a config with so many Apis, in Serve's list: nothing restarts for it."""
    changed = copy.deepcopy(config)
    (application,) = changed["applications"]
    application["deployments"] = [{"name": API, "num_replicas": apis}]
    return changed


@dataclass(frozen=True)
class Status:
    """The application as Serve shows it: its replicas, by deployment.

    A replica is its id and its state.
    """

    state: str
    message: str
    replicas: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, details: Mapping[str, Any]) -> "Status":
        """Return the status in the response of Ray's dashboard."""
        application = details.get("applications", {}).get(APPLICATION)
        if application is None:
            return cls("NOT_STARTED", "", {})
        deployments = application["deployments"]
        messages = [application["message"]]
        messages += [each["message"] for each in deployments.values()]
        replicas = {
            name: {each["replica_id"]: each["state"] for each in found["replicas"]}
            for name, found in deployments.items()
        }
        return cls(application["status"], "\n".join(filter(None, messages)), replicas)

    def is_running(self, counts: Mapping[str, int]) -> bool:
        """Whether all replicas run, and as many as `counts` says where it does."""
        states = {state for each in self.replicas.values() for state in each.values()}
        has_counts = all(
            len(self.replicas[name]) == most for name, most in counts.items()
        )
        return self.state == "RUNNING" and states == {"RUNNING"} and has_counts

    def shares_replicas(self, other: "Status") -> bool:
        """Whether one of the replicas is also in `other`."""
        ours = {each for found in self.replicas.values() for each in found}
        return any(ours & set(found) for found in other.replicas.values())


class Serve:
    """Serve on a cluster, driven through Ray's dashboard as KubeRay does."""

    def __init__(self, cluster: Cluster) -> None:
        self._url = f"{cluster.dashboard}/api/serve/applications/"
        self._headers = {"Authorization": f"Bearer {cluster.token}"}

    def put(self, config: Config) -> None:
        """Send a config; it is deployed afterwards."""
        response = httpx.put(
            self._url, json=config, headers=self._headers, timeout=_REQUEST_SECONDS
        )
        if response.is_error:
            raise DeploymentFailed(f"{response.status_code}: {response.text[:2000]}")

    def status(self) -> Status:
        """Return the status of the application."""
        response = httpx.get(self._url, headers=self._headers, timeout=_REQUEST_SECONDS)
        response.raise_for_status()
        return Status.read(response.json())

    def deploy(self, config: Config, **counts: int) -> float:
        """Send a config and wait until all replicas run; return the seconds.

        Raises DeploymentFailed if it can't be deployed.
        """
        self.put(config)
        return self.wait(lambda status: status.is_running(counts))

    def update(self, config: Config) -> float:
        """Send a config; wait until each replica has been replaced."""
        before = self.status()
        self.put(config)
        return self.wait(
            lambda now: now.is_running({}) and not now.shares_replicas(before)
        )

    def wait(self, is_done: Any) -> float:
        """Wait until a status is right; return the seconds."""

        def look() -> bool:
            try:
                status = self.status()
            except httpx.HTTPError:
                return False
            if status.state == "DEPLOY_FAILED":
                raise DeploymentFailed(status.message)
            return bool(is_done(status))

        return wait_until(look, _TIMEOUT_SECONDS, "deployment")
