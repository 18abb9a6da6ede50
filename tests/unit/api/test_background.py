"""Tasks of a part run as long as the application does."""

import asyncio

import pytest
from fastapi import FastAPI

from serve_app.api import background
from serve_app.api.part import ApiPart

pytestmark = pytest.mark.anyio


async def test_tasks_begin_with_the_application_and_end_with_it() -> None:
    events: list[str] = []
    has_begun = asyncio.Event()

    async def work() -> None:
        events.append("begun")
        has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            events.append("ended")

    parts = [ApiPart("one", ()), ApiPart("two", (), background=(work,))]
    async with background.lifespan(parts)(FastAPI()):
        await asyncio.wait_for(has_begun.wait(), 5)
        assert events == ["begun"]
    assert events == ["begun", "ended"]


async def test_a_task_that_fails_does_not_stop_the_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ValueError("no luck")

    part = ApiPart("one", (), background=(fail,))
    async with background.lifespan([part])(FastAPI()):
        await asyncio.sleep(0.01)
        assert "background task failed" in caplog.text
    assert "no luck" in caplog.text
