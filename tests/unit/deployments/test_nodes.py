"""Data of one node is refused where replicas can run on several."""

from pathlib import Path
from typing import Any

import pytest

from deployments import nodes
from deployments.app import build
from serve_app.settings import Settings

SHARED = {"database_url": "postgresql://a/b", "storage": "s3://bucket"}


def node(name: str, *, is_alive: bool = True, cpus: float = 4) -> dict[str, Any]:
    resources = {"memory": 1.0} | ({"CPU": cpus} if cpus else {})
    return {"NodeID": name, "Alive": is_alive, "Resources": resources}


class FakeRay:
    """A cluster with these nodes, seen from a replica on one of them."""

    def __init__(self, *listed: dict[str, Any], own: str | None = None) -> None:
        self._listed = listed
        self._own = own

    def is_initialized(self) -> bool:
        return bool(self._listed)

    def nodes(self) -> list[dict[str, Any]]:
        return list(self._listed)

    def get_runtime_context(self) -> "FakeRay":
        return self

    def get_actor_id(self) -> str | None:
        return self._own

    def get_node_id(self) -> str | None:
        return self._own


@pytest.mark.parametrize(
    "cluster",
    [
        FakeRay(),
        FakeRay(node("a")),
        FakeRay(node("head", cpus=0), node("a")),
        FakeRay(node("a"), node("b", is_alive=False), own="a"),
    ],
)
def test_one_node_may_have_the_data(
    cluster: FakeRay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nodes, "ray", cluster)
    nodes.refuse_several(Settings(data_dir=tmp_path))


@pytest.mark.parametrize(
    "cluster",
    [
        FakeRay(node("a"), node("b")),
        FakeRay(node("head", cpus=0), node("a"), own="head"),
    ],
)
def test_several_nodes_need_a_database_and_a_store_of_all(
    cluster: FakeRay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nodes, "ray", cluster)
    with pytest.raises(ValueError, match="replicas can run on 2 nodes") as caught:
        nodes.refuse_several(Settings(data_dir=tmp_path))
    assert "STEMSERVE_DATABASE_URL" in str(caught.value)
    assert "STEMSERVE_STORAGE" in str(caught.value)
    nodes.refuse_several(Settings(**SHARED))


@pytest.mark.parametrize("left_out", SHARED)
def test_each_of_them_is_needed(
    left_out: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nodes, "ray", FakeRay(node("a"), node("b")))
    given = {name: value for name, value in SHARED.items() if name != left_out}
    with pytest.raises(ValueError, match=f"STEMSERVE_{left_out.upper()}"):
        nodes.refuse_several(Settings(data_dir=tmp_path, **given))


@pytest.mark.parametrize("given", [{}, {"archive_stores": "/mnt/shared"}])
def test_the_archive_needs_stores_of_all_nodes(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "ray", FakeRay(node("a"), node("b")))
    settings = Settings(**SHARED, archive_hosts="cdn.example.com", **given)
    if given:
        nodes.refuse_several(settings)
        return
    with pytest.raises(ValueError, match="Set STEMSERVE_ARCHIVE_STORES to buckets"):
        nodes.refuse_several(settings)


def test_an_application_is_not_built_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nodes, "ray", FakeRay(node("a"), node("b")))
    with pytest.raises(ValueError, match="2 nodes"):
        build({"settings": {"data_dir": str(tmp_path)}})
