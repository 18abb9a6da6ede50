"""A new system needs one folder and one module, and no other change."""

import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ray import serve

from deployments.app import build
from deployments.args import checked
from serve_app.webhooks import signing
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.service import Service, processes, wait_for
from tests.unit.webhooks.receiver import Receiver

TOY = Path(__file__).parent / "toy"
APPLICATION = "toy"


@pytest.fixture(scope="module")
def toy(cluster: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run stems and the toy, which is outside the package, in one application."""
    place = tmp_path_factory.mktemp("toy")
    shutil.copytree(TOY, place, dirs_exist_ok=True)
    data_dir = tmp_path_factory.mktemp("data")
    pool = {"env": {"PYTHONPATH": str(place)}}
    sys.path.insert(0, str(place))
    args = checked(
        {
            "settings": {
                "data_dir": data_dir,
                "model": "demo",
                "threads": 1,
                "lease_seconds": LEASE_SECONDS,
                "webhook_secrets": [signing.new_secret()],
                "allow_private_webhooks": True,
                "public_url": "https://service.example.com",
            },
            "api": pool,
            "dispatcher": pool,
            "systems": {"stems": {}, "echo_deployment": {"parrot": pool}},
        }
    )
    serve.run(build(args), name=APPLICATION, route_prefix="/toy")
    yield Service(f"http://127.0.0.1:{cluster}/toy", data_dir)
    serve.delete(APPLICATION)
    sys.path.remove(str(place))


def submit(toy: Service, **fields: Any) -> str:
    response = httpx.post(f"{toy.url}/echo", json=fields, timeout=30)
    assert response.status_code == 200, response.text
    job_id: str = response.json()
    return job_id


def get_job(toy: Service, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{toy.url}/echo/{job_id}", timeout=30).json()
    return found


def until(
    toy: Service, job_id: str, condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    end = time.monotonic() + 60
    while not condition(job := get_job(toy, job_id)):
        assert time.monotonic() < end, job
        time.sleep(0.1)
    return job


def parrots() -> list[int]:
    return [each.pid for each in processes(f"ServeReplica:{APPLICATION}:Parrot")]


def test_a_job_goes_through_http_the_pool_and_a_webhook(toy: Service) -> None:
    with Receiver("127.0.0.1") as receiver:
        job_id = submit(toy, text="Ahoy", webhook_url=receiver.url)
        job = until(toy, job_id, lambda job: job["state"] == "succeeded")
        assert job["text"] == "Ahoy"
        wait_for(lambda: len(receiver.received) == 1)
    message = receiver.received[0]
    assert b"https://service.example.com/echo/" in message.body
    assert b'"echo.succeeded"' in message.body
    assert "webhook-signature" in message.headers


def test_a_cancelled_job_stops(toy: Service) -> None:
    job_id = submit(toy, text="never", seconds=60)
    until(toy, job_id, lambda job: job["stage"] == "think")
    httpx.delete(f"{toy.url}/echo/{job_id}", timeout=30).raise_for_status()
    until(toy, job_id, lambda job: job.get("state") in ("cancelled", None))


def test_a_job_survives_the_crash_of_its_pool(toy: Service) -> None:
    job_id = submit(toy, text="again", seconds=3)
    until(toy, job_id, lambda job: job["stage"] == "think")
    for process in processes(f"ServeReplica:{APPLICATION}:Parrot"):
        process.kill()
    job = until(toy, job_id, lambda job: job["state"] == "succeeded")
    assert (job["text"], job["attempt"]) == ("again", 2)


def test_no_more_run_at_once_than_the_rules_allow(toy: Service) -> None:
    jobs = [submit(toy, text=str(number), seconds=1.5) for number in range(4)]
    spans = []
    for job_id in jobs:
        job = until(toy, job_id, lambda job: job["state"] == "succeeded")
        spans.append((job["began_seconds"], job["ended_seconds"]))
    # A job begins only if fewer than two ran just before.
    most = max(sum(one <= at < end for one, end in spans) for at, _ in spans)
    assert most == 2


def test_nothing_is_left_of_an_expired_job(toy: Service) -> None:
    job_id = submit(toy, text="short")
    until(toy, job_id, lambda job: job["state"] == "succeeded")
    folder = toy.data_dir / "files" / "echo" / job_id
    assert folder.exists()

    def is_gone() -> bool:
        status = httpx.get(f"{toy.url}/echo/{job_id}", timeout=30).status_code
        return status == 404 and not folder.exists()

    wait_for(is_gone)


def test_the_systems_do_not_see_each_others_jobs(toy: Service) -> None:
    job_id = submit(toy, text="mine", seconds=1)
    assert toy.listed() == []
    assert httpx.get(f"{toy.url}/job/{job_id}", timeout=30).status_code == 404
    with sqlite3.connect(toy.data_dir / "jobs.sqlite3") as database:
        kinds = database.execute("SELECT DISTINCT kind FROM queue").fetchall()
    assert kinds == [("echo",)]


def test_each_system_has_its_own_origins(toy: Service) -> None:
    def allowed(path: str, origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        response = httpx.options(f"{toy.url}{path}", headers=headers, timeout=30)
        return response.headers.get("access-control-allow-origin")

    echo = "https://echo.example.com"
    assert allowed("/echo", echo) == echo
    assert allowed("/separate", echo) is None


def test_health_tells_of_all_systems(toy: Service) -> None:
    wait_for(lambda: bool(toy.health()["ready"]))
    assert httpx.get(f"{toy.url}/readyz", timeout=30).status_code == 200
    assert toy.health()["model"] == "demo"
