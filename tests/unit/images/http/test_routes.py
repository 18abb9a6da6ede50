"""A client that was written from the contract alone gets what it says."""

import asyncio
import json
import logging
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.types import Message, Scope

from serve_app.diffusion.errors import OutOfDeviceMemory
from serve_app.errors import QueueFull, Unavailable
from serve_app.images.http import events
from serve_app.images.http.services import ImagesServices
from tests.images import STEPS, Replicas, encoded, opened, picture
from tests.unit.images.http.conftest import PAGE
from tests.unit.server import assert_problem

pytestmark = pytest.mark.anyio

WORDS = "a prompt that nobody else may read"
GENERATE = {"prompt": WORDS, "aspectRatio": "3:4"}
REFINE = {"refinePrompt": WORDS, "images": [encoded(Image.new("RGB", (96, 64)))]}
CALLS = [("/generate", GENERATE), ("/refine", REFINE)]


@pytest.mark.parametrize(("path", "fields"), CALLS)
async def test_finished_images_are_in_the_answer(
    client: httpx.AsyncClient, path: str, fields: dict[str, Any]
) -> None:
    answer = await client.post(path, json=fields)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert (found["seeds"], found["model"], found["licence"]) == ([5, 6], "tiny", "MIT")
    assert found["warnings"]
    images = [np.asarray(opened(text)) for text in found["images"]]
    assert [(image == picture(5 + i)).all() for i, image in enumerate(images)] == [
        True,
        True,
    ]


async def test_the_model_gets_what_was_asked(
    client: httpx.AsyncClient, replicas: Replicas
) -> None:
    config = {"steps": 20, "guidanceScale": 7.5, "modelPath": "x"}
    await client.post("/generate", json={**GENERATE, "config": config, "n": 1})
    await client.post("/refine", json={**REFINE, "strength": 0.3, "seed": 3})
    first, second = replicas.requests
    assert (first.width, first.height, first.steps, first.guidance) == (
        *(576, 768, 20),
        7.5,
    )
    assert (len(first.seeds), second.seeds, second.strength) == (1, (3, 4), 0.3)
    assert second.images[0].shape == (64, 96, 3)


async def test_the_same_seed_is_the_same_answer(client: httpx.AsyncClient) -> None:
    first = await client.post("/generate", json={**GENERATE, "seed": 40})
    again = await client.post("/generate", json={**GENERATE, "seed": 40})
    other = await client.post("/generate", json={**GENERATE, "seed": 41})
    assert first.content == again.content != other.content


@pytest.mark.parametrize(
    ("path", "fields", "status", "code"),
    [
        ("/generate", {}, 422, "invalid_field"),
        ("/generate", {**GENERATE, "aspectRatio": "7:3"}, 422, "invalid_field"),
        ("/refine", {**REFINE, "images": []}, 422, "invalid_field"),
        ("/refine", {**REFINE, "images": ["%"]}, 400, "bad_request"),
        ("/refine", {**REFINE, "refinePrompt": " "}, 422, "invalid_field"),
    ],
)
async def test_wrong_input_never_reaches_the_model(
    client: httpx.AsyncClient,
    replicas: Replicas,
    path: str,
    fields: dict[str, Any],
    status: int,
    code: str,
) -> None:
    for query in ("", "?stream=1"):
        answer = await client.post(f"{path}{query}", json=fields)
        assert_problem(answer, status, code)
    assert not replicas.requests


@pytest.mark.parametrize("path", ["/generate", "/refine"])
async def test_a_body_that_is_no_json_is_refused(
    client: httpx.AsyncClient, path: str
) -> None:
    for content in (b"", b"prompt=x", b"[1]"):
        assert_problem(await client.post(path, content=content), 422, "invalid_input")


ERRORS = [
    (OutOfDeviceMemory("Ask for fewer images."), 503, "device_memory", "5"),
    (QueueFull("8 requests wait.", 17), 429, "queue_full", "17"),
    (Unavailable("The model is being loaded."), 503, "unavailable", "5"),
    (RuntimeError(WORDS), 500, "internal_error", None),
]


@pytest.mark.parametrize(("error", "status", "code", "after"), ERRORS)
@pytest.mark.parametrize(("path", "fields"), CALLS)
@pytest.mark.parametrize("query", ["", "?stream=1"])
async def test_errors_have_a_status_a_detail_and_cors(
    client: httpx.AsyncClient,
    replicas: Replicas,
    path: str,
    fields: dict[str, Any],
    error: Exception,
    status: int,
    code: str,
    after: str | None,
    query: str,
) -> None:
    replicas.error = error
    headers = {"Origin": PAGE}
    answer = await client.post(f"{path}{query}", json=fields, headers=headers)
    assert_problem(answer, status, code)
    assert answer.headers.get("retry-after") == after
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert WORDS not in answer.text


async def test_prompts_are_neither_logged_nor_in_errors(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bad = {**GENERATE, "aspectRatio": "7:3"}
    for path, fields in (*CALLS, ("/generate", bad), ("/generate?stream=1", GENERATE)):
        answer = await client.post(path, json=fields)
        assert WORDS not in answer.text
    await client.post("/generate", json={**GENERATE, "prompt": WORDS * 100})
    assert WORDS not in caplog.text


async def test_a_body_has_its_largest_size(
    client: httpx.AsyncClient, services: ImagesServices, replicas: Replicas
) -> None:
    noise = encoded(Image.effect_noise((500, 500), 90))
    assert len(noise) > 300_000
    fine = await client.post("/refine", json={**REFINE, "images": [noise, noise]})
    assert fine.status_code == 200
    large = await client.post("/refine", json={**REFINE, "images": [noise] * 4})
    detail = assert_problem(large, 413, "upload_too_large")
    assert str(services.limits.max_body_bytes) in detail
    # Texts are short, whatever images may be.
    text = await client.post("/generate", json={**GENERATE, "prompt": noise})
    assert_problem(text, 413, "upload_too_large")
    assert len(replicas.requests) == 1


def sse(answer: httpx.Response) -> list[tuple[str, Any]]:
    """Return the events of a stream: their names and data."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


@pytest.mark.parametrize(("path", "fields"), CALLS)
async def test_a_stream_has_each_step_and_ends_with_the_images(
    client: httpx.AsyncClient, path: str, fields: dict[str, Any]
) -> None:
    plain = await client.post(path, json=fields)
    found = sse(await client.post(f"{path}?stream=1", json=fields))
    assert [name for name, _ in found] == ["step"] * (STEPS + 1) + ["images"]
    assert [data["step"] for _, data in found[:-1]] == [0, 1, 2, 3]
    assert found[0][1]["previews"] == []
    previews = found[1][1]["previews"]
    assert (np.asarray(opened(previews[1])) == picture(6)).all()
    assert found[-1][1] == plain.json()


@pytest.mark.parametrize(("error", "status", "code", "after"), ERRORS)
async def test_an_error_in_a_stream_is_its_last_event(
    client: httpx.AsyncClient,
    replicas: Replicas,
    error: Exception,
    status: int,
    code: str,
    after: str | None,
) -> None:
    replicas.error_at_step = error
    answer = await client.post("/generate?stream=1", json=GENERATE)
    name, problem = sse(answer)[-1]
    assert (name, problem["status"], problem["code"]) == ("error", status, code)
    assert WORDS not in answer.text


class Call:
    """A request sent message by message, whose client leaves when it is told to."""

    def __init__(
        self, app: FastAPI, path: str, fields: Any, method: str = "POST"
    ) -> None:
        self.sent: list[Message] = []
        self.leave = asyncio.Event()
        self._body = [json.dumps(fields).encode()]
        name, _, query = path.partition("?")
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": name,
            "raw_path": name.encode(),
            "query_string": query.encode(),
            "headers": [(b"content-length", str(len(self._body[0])).encode())],
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        if self._body:
            return {"type": "http.request", "body": self._body.pop()}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        *(("POST", path, fields) for path, fields in CALLS),
        *(("POST", f"{path}?stream=1", fields) for path, fields in CALLS),
        ("GET", "/benchmark", {}),
    ],
)
async def test_a_client_that_leaves_frees_the_model_at_once(
    app: FastAPI, replicas: Replicas, method: str, path: str, fields: Any
) -> None:
    replicas.holds = True
    call = Call(app, path, fields, method)
    await asyncio.wait_for(replicas.started.wait(), 5)
    await asyncio.sleep(0.05)
    assert not call.task.done()
    call.leave.set()
    await asyncio.wait_for(call.task, 5)
    assert replicas.cancelled == 1


async def test_a_request_that_the_server_cancels_frees_the_model(
    app: FastAPI, replicas: Replicas
) -> None:
    """Serve cancels requests whose clients have left."""
    replicas.holds = True
    call = Call(app, "/generate", GENERATE)
    await asyncio.wait_for(replicas.started.wait(), 5)
    call.task.cancel()
    await asyncio.wait({call.task}, timeout=5)
    assert (call.task.cancelled(), replicas.cancelled) == (True, 1)


async def test_a_stream_without_news_is_kept_alive(
    app: FastAPI, replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEEPALIVE_SECONDS", 0.01)
    replicas.holds = True
    call = Call(app, "/generate?stream=1", GENERATE)
    await asyncio.wait_for(replicas.started.wait(), 5)
    await asyncio.sleep(0.2)
    call.leave.set()
    await asyncio.wait_for(call.task, 5)
    bodies = [message.get("body", b"") for message in call.sent]
    assert sum(body.startswith(b": ping") for body in bodies) >= 2
    assert replicas.cancelled == 1


async def test_few_bodies_with_images_are_read_at_once(
    app: FastAPI, client: httpx.AsyncClient, replicas: Replicas
) -> None:
    """They take memory; requests that are made already don't count."""
    replicas.holds = True
    waiting = [Call(app, "/refine", REFINE) for _ in range(2)]
    await asyncio.sleep(0.3)
    assert len(replicas.requests) == 2
    stuck = asyncio.Event()

    async def trickling() -> Any:
        yield b"{"
        await stuck.wait()

    reading = [
        asyncio.ensure_future(client.post("/refine", content=trickling()))
        for _ in range(2)
    ]
    await asyncio.sleep(0.1)
    refused = await client.post("/refine", json=REFINE)
    assert_problem(refused, 429, "too_many_requests")
    stuck.set()
    for answer in await asyncio.gather(*reading):
        assert_problem(answer, 422, "invalid_input")
    for call in waiting:
        call.leave.set()
        await asyncio.wait_for(call.task, 5)


@pytest.mark.usefixtures("asking")
async def test_a_benchmark_is_one_timed_image_of_512_pixels(
    client: httpx.AsyncClient, replicas: Replicas
) -> None:
    answer = await client.get("/benchmark")
    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("generation_time_seconds") >= 0
    assert found == {
        "benchmark": "completed",
        "prompt": replicas.requests[0].prompt,
        "steps": 4,
        "device": "cpu",
        "guidance_scale": 1.0,
        "images_generated": 1,
        "performance_rating": "excellent",
    }
    (request,) = replicas.requests
    assert (request.width, request.height, len(request.seeds)) == (512, 512, 1)


@pytest.mark.parametrize(("error", "status", "code", "after"), ERRORS)
async def test_a_benchmark_that_fails_says_so_with_200(
    client: httpx.AsyncClient,
    replicas: Replicas,
    error: Exception,
    status: int,
    code: str,
    after: str | None,
) -> None:
    replicas.error = error
    answer = await client.get("/benchmark")
    assert answer.status_code == 200
    found = answer.json()
    assert set(found) == {"benchmark", "error", "device"}
    assert (found["benchmark"], found["device"]) == ("failed", "unknown")
    assert found["error"]
    assert WORDS not in answer.text


PAGES = [
    PAGE,
    *("http://localhost", "http://localhost:8081", "http://localhost:5173"),
    *("http://127.0.0.1:3000", "http://127.0.0.1:65535"),
]
STRANGERS = [
    "https://stems.example",
    "https://localhost:8081",
    "http://localhost.example:80",
    "http://localhost:80.example",
    "http://localhost:",
    "http://127.0.0.10:8081",
    "http://sub.localhost:8081",
    "null",
]


@pytest.mark.parametrize("origin", PAGES)
@pytest.mark.parametrize("path", ["/generate", "/refine", "/health", "/benchmark"])
async def test_pages_of_this_machine_may_use_all_routes(
    client: httpx.AsyncClient, origin: str, path: str
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type,x-anything",
        }
        answer = await client.options(path, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert method in answer.headers["access-control-allow-methods"]
        assert "x-anything" in answer.headers["access-control-allow-headers"]
    # 422, 404 and 405 of the wrong methods included.
    for method in ("GET", "POST"):
        answer = await client.request(method, path, headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("origin", STRANGERS)
async def test_pages_of_strangers_may_not(
    client: httpx.AsyncClient, replicas: Replicas, origin: str
) -> None:
    headers = {"Origin": origin}
    answer = await client.post("/generate", json=GENERATE, headers=headers)
    assert_problem(answer, 403, "foreign_origin")
    assert "access-control-allow-origin" not in answer.headers
    answer = await client.get("/benchmark", headers=headers)
    assert "access-control-allow-origin" not in answer.headers
    assert len(replicas.requests) == 1
