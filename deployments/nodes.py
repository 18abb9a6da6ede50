"""The nodes of the cluster, and the data that only one of them has."""

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from serve_app.database import engine
from serve_app.settings import Settings
from serve_app.storage import addresses

DATABASE, STORAGE = "STEMSERVE_DATABASE_URL", "STEMSERVE_STORAGE"
ARCHIVE = "STEMSERVE_ARCHIVE_STORES"
_NEEDS = {
    DATABASE: (
        "SQLite is a file on one node. Set STEMSERVE_DATABASE_URL to a Postgres "
        "database, postgresql://user:password@host/name"
    ),
    STORAGE: (
        "a directory is on one node. Set STEMSERVE_STORAGE to a bucket, "
        "s3://bucket/folder"
    ),
    ARCHIVE: (
        "media would lie in the data directory of one node. Set "
        "STEMSERVE_ARCHIVE_STORES to buckets, or to directories that all nodes share"
    ),
}


def kept_on_one(settings: Settings) -> Mapping[str, str]:
    """Return the settings of data that other nodes can't reach, with what they need."""
    found = []
    database = engine.parsed(settings.effective_database_url)
    if database.get_backend_name() == "sqlite":
        found.append(DATABASE)
    if any(map(addresses.is_directory, settings.effective_storage)):
        found.append(STORAGE)
    if "archive" in settings.default_systems and settings.archive_is_local:
        found.append(ARCHIVE)
    return {name: _NEEDS[name] for name in found}


def refuse_several(settings: Settings) -> None:
    """Raise ValueError if replicas can run on several nodes, and need data of one.

    Call it where an application is built and where each replica starts: nodes join
    later too. A node without CPUs, such as the head of a cluster on Kubernetes, counts
    only if this replica runs on it.
    """
    needs = kept_on_one(settings)
    if not needs or not ray.is_initialized():
        return
    nodes = _nodes_for_replicas(ray.nodes(), _own_node())
    if len(nodes) > 1:
        raise ValueError(
            f"replicas can run on {len(nodes)} nodes of this cluster, and their data "
            f"must be where all of them reach it: {'; '.join(needs.values())}."
        )


def _nodes_for_replicas(
    nodes: Sequence[Mapping[str, Any]], own: str | None
) -> set[str]:
    """Return the ids of living nodes with CPUs, and that of this replica's node."""
    ids = {
        each["NodeID"]
        for each in nodes
        if each["Alive"] and each["Resources"].get("CPU", 0) > 0
    }
    return ids if own is None else ids | {own}


def _own_node() -> str | None:
    """Return the id of the node that this replica runs on; None in other processes."""
    context = ray.get_runtime_context()
    return context.get_node_id() if context.get_actor_id() else None
