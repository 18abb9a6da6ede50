"""The routes of images over a stand-in for the engine."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import FastAPI

from serve_app.api.app import create_app
from serve_app.api.limits import Limit
from serve_app.api.services import Services
from serve_app.images.http.known_facts import KnownFacts
from serve_app.images.http.part import part
from serve_app.images.http.services import ImagesServices
from serve_app.images.limits import Limits
from serve_app.settings.images import LOCAL_PAGES
from tests.images import Replicas
from tests.unit.server import Clock, connect

PAGE = "https://pictures.example"


class NoAnswers:
    """Keep no responses: images have no idempotent requests."""

    def find(self, request_id: str) -> None:
        """Find nothing."""

    def keep(self, answer: object) -> None:
        """Keep nothing."""


@pytest.fixture
def replicas() -> Replicas:
    return Replicas()


@pytest.fixture
def services(replicas: Replicas) -> Iterator[ImagesServices]:
    with ThreadPoolExecutor(2) as threads:
        yield ImagesServices(
            replicas,
            KnownFacts(replicas.describe, period_seconds=0.01, timeout_seconds=0.2),
            threads,
            reading=Limit("requests with images", 4),
            limits=Limits(max_body_bytes=1_000_000),
            cors_origins=(PAGE, *LOCAL_PAGES),
            random=lambda below: 5,
        )


@pytest.fixture
def app(services: ImagesServices) -> FastAPI:
    return create_app(
        Services(NoAnswers(), Clock(), cors_origins=("https://stems.example",)),
        [part(services)],
    )


@pytest.fixture
async def asking(services: ImagesServices) -> AsyncIterator[None]:
    """Ask the engine, as the application does by itself."""
    task = asyncio.ensure_future(services.facts.keep_asking())
    await asyncio.sleep(0.05)
    yield
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app) as client:
        yield client
