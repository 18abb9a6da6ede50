"""The manifests for KubeRay are what their page says, and CI finds their faults."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.archive.http.streaming.routes import ROUTES
from serve_app.settings import Settings
from tests import kubectl
from tools import check_manifests

pytestmark = kubectl.needed

ROOT = Path(__file__).parents[3]
EXPORTED = re.compile(
    r"^export (RAY_SERVE_\w+|FORWARDED_ALLOW_IPS)=(\S*)", re.MULTILINE
)
SHARED = ("prod", "prod-ingress")


@cache
def objects(overlay: str) -> Mapping[tuple[str, str], Any]:
    """Return the objects of an overlay by kind and name, without the hash of it."""
    listed = yaml.safe_load_all(check_manifests.rendered(overlay))
    return {
        (each["kind"], re.sub(r"-\w{10}$", "", each["metadata"]["name"])): each
        for each in listed
    }


def service(overlay: str) -> Any:
    return objects(overlay)["RayService", "stemserve"]["spec"]


def application(overlay: str) -> Any:
    return yaml.safe_load(service(overlay)["serveConfigV2"])["applications"][0]


def containers(overlay: str) -> list[Any]:
    cluster = service(overlay)["rayClusterConfig"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [pod["template"]["spec"]["containers"][0] for pod in pods]


@pytest.mark.parametrize("overlay", check_manifests.ALL)
def test_the_image_is_that_of_this_version(overlay: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {each["image"] for each in containers(overlay)} == {f"stemserve:{version}"}


@pytest.mark.parametrize("overlay", check_manifests.ARCHIVE)
def test_the_archive_runs_beside_the_cluster_with_the_same_settings(
    overlay: str,
) -> None:
    pod = objects(overlay)["Deployment", "stemserve-archive"]["spec"]["template"]
    [streaming] = pod["spec"]["containers"]
    assert streaming["image"] == containers(overlay)[0]["image"]
    for each in containers(overlay):
        assert each["envFrom"] == streaming["envFrom"]
    [port] = [each["containerPort"] for each in streaming["ports"]]
    assert port == Settings.model_fields["archive_port"].default
    paths = {each.path.split("/")[1] for each in ROUTES}
    assert routed(overlay) == {f"/{each}" for each in paths} - {"/health"}


def routed(overlay: str) -> set[str]:
    """Return the paths of which the archive's pods get the requests."""
    if ("HTTPRoute", "stemserve-archive") in objects(overlay):
        [rule] = objects(overlay)["HTTPRoute", "stemserve-archive"]["spec"]["rules"]
        return {each["path"]["value"] for each in rule["matches"]}
    [rule] = objects(overlay)["Ingress", "stemserve-archive"]["spec"]["rules"]
    return {each["path"] for each in rule["http"]["paths"]}


@pytest.mark.parametrize("overlay", check_manifests.ALL)
def test_kubernetes_sets_no_variables_that_look_like_settings(overlay: str) -> None:
    cluster = service(overlay)["rayClusterConfig"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert {each["template"]["spec"]["enableServiceLinks"] for each in pods} == {False}


@pytest.mark.parametrize("overlay", check_manifests.ALL)
def test_pods_have_the_environment_that_operators_set_for_ray(overlay: str) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    wanted = dict(EXPORTED.findall(page))
    assert len(wanted) >= 3
    found = objects(overlay)["ConfigMap", "stemserve-environment"]
    assert wanted.items() <= found["data"].items()
    for each in containers(overlay):
        assert each["envFrom"][0]["configMapRef"]["name"] == found["metadata"]["name"]


@pytest.mark.parametrize("overlay", check_manifests.OVERLAYS)
def test_ray_asks_for_a_token_and_no_replica_runs_on_the_head(overlay: str) -> None:
    cluster = service(overlay)["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("overlay", SHARED)
def test_two_apis_and_two_dispatchers_run_at_least(overlay: str) -> None:
    args = application(overlay)["args"]
    assert args["api"]["autoscaling"]["min_replicas"] == 2
    assert args["dispatcher"]["num_replicas"] == 2


@pytest.mark.parametrize("overlay", SHARED)
def test_an_old_cluster_outlives_every_drain(overlay: str) -> None:
    args = application(overlay)["args"]
    drain = args["separator"]["graceful_shutdown_timeout_s"]
    assert service(overlay)["rayClusterDeletionDelaySeconds"] > drain


def test_upgrades_are_gradual_behind_a_gateway_and_not_behind_an_ingress() -> None:
    upgrade = service("prod")["upgradeStrategy"]
    gateway = objects("prod")["Gateway", "stemserve-gateway"]["spec"]
    assert upgrade["type"] == "NewClusterWithIncrementalUpgrade"
    options = upgrade["clusterUpgradeOptions"]
    assert gateway["gatewayClassName"] == options["gatewayClassName"]
    # Exactly what KubeRay makes, or it would replace it.
    assert gateway["listeners"] == [{"name": "http", "port": 80, "protocol": "HTTP"}]
    assert service("prod-ingress")["upgradeStrategy"] == {"type": "NewCluster"}


def test_requests_have_no_time_limit_on_their_way() -> None:
    rules = objects("prod")["HTTPRoute", "stemserve-front"]["spec"]["rules"]
    assert [rule["timeouts"] for rule in rules] == [{"request": "0s"}]
    annotations = objects("prod-ingress")["Ingress", "stemserve"]["metadata"]
    assert annotations["annotations"][
        "nginx.ingress.kubernetes.io/proxy-buffering"
    ] == ("off")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\n"
            "spec:\n  minAvailabel: 1\n",
            5,
            "unknown field `spec.minAvailabel`. Did you mean `minAvailable`?",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: 1\n",
            5,
            "`data.a` must be a string",
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
            "metadata: {name: a}\nspec:\n  gatewayClassNam: istio\n  listeners: []\n",
            5,
            "Did you mean `gatewayClassName`?",
        ),
        (
            "apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\n"
            "metadata: {name: a}\nspec:\n  selector: {}\n  podMetricsEndpoint: []\n",
            6,
            "Did you mean `podMetricsEndpoints`?",
        ),
    ],
)
def test_a_typo_in_an_object_of_any_kind_is_found_at_its_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    line: int,
    words: str,
) -> None:
    path = tmp_path / "objects.yaml"
    path.write_text(text)
    assert check_manifests.main([path]) == 1
    said = capsys.readouterr().out
    assert any(
        each.startswith(f"{path}:{line}: ") and words in each
        for each in said.splitlines()
    ), said
