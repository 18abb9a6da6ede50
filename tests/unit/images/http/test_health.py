"""/health tells of the engine what it said last, however busy it is."""

import asyncio
import time
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from serve_app.api import health
from serve_app.api.app import create_app
from serve_app.api.part import ApiPart
from serve_app.api.services import Services
from serve_app.diffusion.port import Facts
from serve_app.errors import Unavailable
from serve_app.images.http.known_facts import KnownFacts
from serve_app.images.http.part import part
from serve_app.images.http.services import ImagesServices
from tests.images import FACTS, Replicas
from tests.unit.images.http.conftest import NoAnswers
from tests.unit.live import serving
from tests.unit.server import Clock, connect

pytestmark = pytest.mark.anyio

OPTIMIZATIONS = {
    "scheduler": "LCMScheduler",
    "steps": 4,
    "guidance_scale": 1.0,
    "precision": "fp32",
    "memory_optimizations": ["vae_slicing"],
}


@pytest.fixture(autouse=True)
def _uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)


def test_the_application_asks_the_engine_by_itself(app: FastAPI) -> None:
    with serving(app) as url:
        deadline = time.monotonic() + 5
        while (found := httpx.get(f"{url}/health").json())["status"] != "healthy":
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
    assert (found["device"], found["model"]) == ("cpu", "tiny")
    assert found["optimizations"] == OPTIMIZATIONS
    assert (found["ready"], found["licence"]) == (True, "MIT")


async def test_the_asking_ends_whenever_it_is_cancelled(replicas: Replicas) -> None:
    for yields in range(200):
        known = KnownFacts(replicas.describe, period_seconds=0.0)
        asking = asyncio.ensure_future(known.keep_asking())
        for _ in range(yields % 20):
            await asyncio.sleep(0)
        asking.cancel()
        done, _ = await asyncio.wait({asking}, timeout=1)
        assert done, yields


async def test_before_the_first_answer_it_is_starting(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/health")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["status"], found["ready"]) == ("unavailable", False)
    assert "is being loaded" in found["reason"]
    # Clients read these without a look at whether they are there.
    assert (found["device"], found["model"]) == ("unknown", "unknown")
    assert found["optimizations"]["scheduler"] == "unknown"


@pytest.mark.usefixtures("asking")
async def test_while_the_engine_hangs_it_answers_soon_with_what_is_known(
    client: httpx.AsyncClient, services: ImagesServices
) -> None:
    hangs = asyncio.Event()

    async def describe() -> Facts:
        await hangs.wait()
        return FACTS

    services.facts._describe = describe
    for _ in range(10):
        began = time.monotonic()
        found = (await client.get("/health")).json()
        assert time.monotonic() - began < 0.3
        assert (found["device"], found["optimizations"]) == ("cpu", OPTIMIZATIONS)
        await asyncio.sleep(0.05)
    # It has hung for longer than the timeout.
    assert (found["ready"], found["status"]) == (False, "unavailable")
    assert "does not respond" in found["reason"]


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("The model can't be loaded."), "can't be loaded"),
        (RuntimeError("secret"), "see the log"),
    ],
)
async def test_an_engine_that_fails_is_asked_again(
    client: httpx.AsyncClient,
    replicas: Replicas,
    error: Exception,
    reason: str,
) -> None:
    def fail() -> Facts:
        raise error

    replicas.facts = fail
    await asyncio.sleep(0.05)
    found = (await client.get("/health")).json()
    assert (found["ready"], found["status"]) == (False, "unavailable")
    assert reason in found["reason"]
    assert "secret" not in found["reason"]
    replicas.facts = lambda: replace(FACTS, device="cuda:0")
    await asyncio.sleep(0.1)
    found = (await client.get("/health")).json()
    assert (found["status"], found["device"]) == ("healthy", "cuda:0")


@pytest.mark.usefixtures("asking")
async def test_beside_other_systems_its_names_are_its_own(
    services: ImagesServices,
) -> None:
    async def of_stems() -> dict[str, object]:
        return {"ready": True, "model": "demo", "device": "cpu:7", "jobs_count": 3}

    parts = [part(services), ApiPart("stems", (), health=of_stems)]
    app = create_app(Services(NoAnswers(), Clock()), parts)
    async with connect(app) as client:
        found = (await client.get("/health")).json()
    # Clients of images expect this word, those of stems any.
    said = (found["status"], found["ready"], found["jobs_count"])
    assert said == ("healthy", True, 3)
    assert (found["device"], found["model"]) == ("cpu", "tiny")
    assert found["optimizations"] == OPTIMIZATIONS
    assert found["systems"]["stems"]["model"] == "demo"
