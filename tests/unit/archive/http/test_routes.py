"""The calls of the API server, of newer clients and of operators."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.api.app import create_app
from serve_app.api.services import Services
from serve_app.archive import kind
from serve_app.archive.errors import MediaNotFound, NotAllowed
from serve_app.archive.http.part import part
from serve_app.archive.http.services import ArchiveServices
from serve_app.archive.identity import Identity
from serve_app.archive.kind import ArchiveJob, Stage, Stored
from serve_app.archive.media import Media, MediaStore
from serve_app.archive.sources import Sources
from serve_app.archive.triggers import Triggers
from serve_app.database import Database
from serve_app.idempotency.store import StoredResponses
from serve_app.jobs.store import JobStore
from serve_app.settings import Settings
from tests.unit.server import Clock, assert_problem, connect

pytestmark = pytest.mark.anyio

SAID = "a secret of the archive"
BEARER = {"Authorization": f"Bearer {SAID}"}
EPISODE = {
    "mal_id": 1234,
    "episode": 5,
    "provider": "example",
    "video_url": "https://cdn.example.com/a.mp4",
    "resolution": "720p",
}
QUEUED = {"queued": True, "mal_id": 1234, "episode": 5, "provider": "example"}
STORED = Stored("1234/ep5/ab.mp4", "one", 17, "cd" * 32, "video/mp4")


class Around:
    """What the routes call, noted."""

    def __init__(self) -> None:
        self.woken = 0
        self.stopped: list[str] = []
        self.answer: Mapping[str, Any] = {}

    def wake(self) -> None:
        self.woken += 1

    async def status(self) -> Mapping[str, Any]:
        return self.answer

    def check(self, identity: Identity) -> None:
        if identity.provider == "third":
            raise NotAllowed("The constraint video_queue_provider_check allows two.")


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def services(tmp_path: Path, around: Around) -> Iterator[ArchiveServices]:
    clock = Clock()
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        media = MediaStore(database, clock, ["one"])
        jobs = JobStore(
            database, clock, kind.configured(Settings()), settle=media.settle
        )
        triggers = Triggers(jobs, media, Sources(("*.example.com",)), clock)
        yield ArchiveServices(
            media=media,
            triggers=triggers,
            secret=SAID,
            check_identity=around.check,
            wake=around.wake,
            stop=around.stopped.append,
            status=around.status,
            stores=3,
            url="https://media.example.com/v/",
            port=8001,
        )


def connected(
    services: ArchiveServices,
) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    clock: Any = services.triggers.clock
    jobs = services.triggers.jobs
    shared = Services(StoredResponses(jobs._database, clock), clock)
    return connect(create_app(shared, [part(services)]))


@pytest.fixture
async def client(services: ArchiveServices) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(services) as client:
        yield client


def claimed(services: ArchiveServices) -> ArchiveJob:
    (job,) = services.triggers.jobs.claim("me", lease_seconds=30, include_alone=True)
    return job


async def trigger(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/trigger", json={**EPISODE, **changes}, headers=BEARER)


async def test_an_episode_is_queued_and_then_each_state_is_the_reason(
    client: httpx.AsyncClient, services: ArchiveServices, around: Around
) -> None:
    first = await trigger(client)
    assert (first.status_code, first.json()) == (200, QUEUED)
    assert around.woken == 1
    # A row that is pending starts.
    assert (await trigger(client)).json() == QUEUED
    job = claimed(services)
    downloading = {"queued": False, "reason": "downloading"}
    assert (await trigger(client)).json() == downloading
    services.triggers.jobs.report(job.claim, Stage.UPLOAD, 0.9)
    uploading = {"queued": False, "reason": "uploading"}
    assert (await trigger(client)).json() == uploading
    services.triggers.jobs.succeed(job.claim, STORED)
    assert (await trigger(client)).json() == {"queued": False, "reason": "ready"}


async def test_an_episode_that_failed_is_queued_again(
    client: httpx.AsyncClient, services: ArchiveServices
) -> None:
    await trigger(client)
    services.triggers.jobs.fail(claimed(services).claim, "source_failed", "It is so.")
    assert (await trigger(client)).json() == QUEUED


@pytest.mark.parametrize("resolution", [None, ""])
async def test_no_resolution_is_null(
    client: httpx.AsyncClient, services: ArchiveServices, resolution: str | None
) -> None:
    assert (await trigger(client, resolution=resolution)).json() == QUEUED
    assert services.media.find("1234:5:example:unknown").identity == Identity(
        1234, 5, "example"
    )


async def test_newer_clients_name_any_key(
    client: httpx.AsyncClient, services: ArchiveServices
) -> None:
    body = {"key": "a song/ü", "url": "https://cdn.example.com/a.mp3"}
    answer = await client.post("/trigger", json=body, headers=BEARER)
    assert answer.json() == {"queued": True, "key": "a song/ü"}
    found = (await client.get("/archive/media/a song/ü")).json()
    assert (found["key"], found["state"]) == ("a song/ü", "pending")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {SAID}",
        f"Bearer {SAID}x",
    ],
)
async def test_without_the_secret_nothing_is_triggered(
    client: httpx.AsyncClient, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = await client.post("/trigger", json=EPISODE, headers=headers)
    assert_problem(answer, 401, "unauthorized")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        *(({name: None}, name) for name in EPISODE if name != "resolution"),
        *(({name: 0}, name) for name in ("mal_id", "episode")),
        *(({name: ""}, name) for name in ("provider", "video_url")),
        ({"mal_id": "1234"}, "mal_id"),
        ({"episode": True}, "episode"),
        ({"episode": 2**31}, "episode"),
        ({"provider": "a/b"}, "provider"),
        ({"provider": "a\r\nX: 1"}, "provider"),
        ({"resolution": "../x"}, "resolution"),
        ({"video_url": "https://cdn.example.com/a\n.mp4"}, "video_url"),
        ({"resolution": 720}, "resolution"),
        ({"provider": "third"}, "video_queue_provider_check"),
        ({"video_url": "https://evil.org/a.mp4"}, "evil.org"),
        ({"video_url": "ftp://cdn.example.com/a.mp4"}, "ftp"),
        ({"video_url": "http://127.0.0.1/a.mp4"}, "address"),
    ],
)
async def test_a_wrong_field_is_a_400_that_names_it(
    client: httpx.AsyncClient, changes: dict[str, Any], named: str
) -> None:
    answer = await trigger(client, **changes)
    assert_problem(answer, 400, "bad_request")
    assert named in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"17", b'"\\ud800"', b"\xff"])
async def test_bad_json_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/trigger", content=body, headers=BEARER)
    assert_problem(answer, 400, "bad_request")


async def test_the_status_counts_what_is_there(
    client: httpx.AsyncClient, services: ArchiveServices
) -> None:
    await trigger(client)
    services.triggers.jobs.succeed(claimed(services).claim, STORED)
    await trigger(client, episode=6)
    assert (await client.get("/status")).json() == {
        "queue": {
            "pending": 1,
            "downloading": 0,
            "uploading": 0,
            "ready": 1,
            "failed": 0,
        },
        "archived": 1,
    }


async def test_the_health_has_the_fields_of_before(client: httpx.AsyncClient) -> None:
    found = (await client.get("/health")).json()
    expected = {
        "status": "ok",
        "worker_running": True,
        "storage_accounts": 3,
        "cf_workers_configured": True,
    }
    assert {name: found[name] for name in expected} == expected


async def test_the_health_says_that_the_old_tables_are_away(
    client: httpx.AsyncClient, around: Around
) -> None:
    around.answer = {"old_tables": {"trouble": "They are away."}}
    found = (await client.get("/health")).json()
    assert found["reason"] == "They are away."


async def test_media_is_got_from_the_process_that_streams(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/media/1234/ep5/ab.mp4")
    assert answer.status_code == 307
    assert answer.headers["location"] == (
        "https://media.example.com/v/media/1234/ep5/ab.mp4"
    )


async def test_failures_are_tried_again_in_bulk(
    client: httpx.AsyncClient, services: ArchiveServices, around: Around
) -> None:
    await trigger(client)
    services.triggers.jobs.fail(claimed(services).claim, "source_failed", "It is so.")

    async def retry(**body: Any) -> httpx.Response:
        return await client.post("/retry", json=body, headers=BEARER)

    assert (await retry(host="other.example.com")).json() == {"queued": 0}
    assert (await retry(host="CDN.example.com")).json() == {"queued": 1}
    assert (await retry()).json() == {"queued": 0}
    for wrong in ({"state": "ready"}, {"hosts": "cdn.example.com"}):
        assert (await retry(**wrong)).status_code == 422


@pytest.mark.parametrize("path", ["/media", "/archive/media"])
async def test_a_take_down_deletes_stops_and_keeps_out(
    client: httpx.AsyncClient, services: ArchiveServices, around: Around, path: str
) -> None:
    await trigger(client)
    services.triggers.jobs.succeed(claimed(services).claim, STORED)
    key = "1234:5:example:720p"
    assert (await client.delete(f"{path}/{key}", headers=BEARER)).status_code == 204
    assert services.media.find_object(STORED.object_key) is None
    assert len(around.stopped) == 1
    assert_problem(await trigger(client), 410, "media_blocked")
    assert (
        await client.post(f"/archive/allow/{key}", headers=BEARER)
    ).status_code == 204
    assert (await trigger(client)).json() == QUEUED
    unknown = await client.delete("/media/unknown", headers=BEARER)
    assert_problem(unknown, 404, "media_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/media/1234:5:example:720p"),
        ("DELETE", "/archive/media/1234:5:example:720p"),
        ("POST", "/archive/allow/1234:5:example:720p"),
        ("POST", "/retry"),
    ],
)
async def test_without_the_secret_nothing_is_changed(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    await trigger(client)
    for headers in ({}, {"Authorization": f"Bearer {SAID}x"}):
        answer = await client.request(method, path, headers=headers)
        assert_problem(answer, 401, "unauthorized")
        assert "HF_FILE_SALT" in answer.json()["detail"]


class Earlier:
    """An archive before this one that has stored the episode."""

    def __init__(self, media: MediaStore) -> None:
        self.media = media

    def has(self, identity: Identity) -> bool:
        return identity == Identity(1234, 5, "example", "720p")

    def take_down(self, key: str) -> Media:
        identity = Identity(1234, 5, "example", "720p")
        if key != identity.key:
            raise MediaNotFound(f"There is no media {key!r}.")
        return self.media.block_earlier(identity, "https://hub.example/a.mp4", "a.mp4")


async def test_what_was_stored_before_is_ready_and_can_be_taken_down(
    services: ArchiveServices,
) -> None:
    services = replace(services, earlier=Earlier(services.media))
    async with connected(services) as client:
        ready = (await trigger(client)).json()
        assert ready == {"queued": False, "reason": "ready"}
        assert (await trigger(client, resolution=None)).json() == QUEUED
        key = "1234:5:example:720p"
        answer = await client.delete(f"/archive/media/{key}", headers=BEARER)
        assert answer.status_code == 204
        found = (await client.get(f"/archive/media/{key}")).json()
        assert found["is_blocked"] is True
        unknown = await client.delete("/archive/media/1:1:a:b", headers=BEARER)
        assert_problem(unknown, 404, "media_not_found")


async def test_media_that_waits_for_its_source_says_until_when(
    client: httpx.AsyncClient, services: ArchiveServices
) -> None:
    await trigger(client)
    path = "/archive/media/1234:5:example:720p"
    assert "waits_until" not in (await client.get(path)).json()
    services.triggers.jobs.pause("cdn.example.com", 3600.0)
    found = (await client.get(path)).json()
    wanted = services.triggers.clock() + timedelta(seconds=3600)
    assert datetime.fromisoformat(found["waits_until"]) == wanted


async def test_what_became_of_media_is_told(
    client: httpx.AsyncClient, services: ArchiveServices
) -> None:
    await trigger(client)
    job = claimed(services)
    services.triggers.jobs.fail(job.claim, "source_failed", "It is so.")
    found = (await client.get("/archive/media/1234:5:example:720p")).json()
    assert (found["state"], found["error"]) == ("failed", "It is so.")
    assert datetime.fromisoformat(found["next_try_at"])
    assert_problem(await client.get("/archive/media/x"), 404, "media_not_found")


async def test_without_a_secret_no_trigger_is_accepted(
    services: ArchiveServices,
) -> None:
    clock: Any = services.triggers.clock
    shared = Services(StoredResponses(services.triggers.jobs._database, clock), clock)
    open_services = replace(services, secret="")
    async with connect(create_app(shared, [part(open_services)])) as client:
        for bearer in ("", "undefined", SAID):
            answer = await client.post(
                "/trigger", json=EPISODE, headers={"Authorization": f"Bearer {bearer}"}
            )
            assert_problem(answer, 401, "unauthorized")
        assert "ARCHIVE_SECRET" in (await client.get("/health")).json()["reason"]
