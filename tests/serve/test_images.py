"""Images end to end: the tiny model behind the real queue, proxy and routes."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from deployments.args import checked
from tests.images import encoded, opened
from tests.serve.application import running
from tests.serve.service import Service, wait_for

GENERATE = {"prompt": "a lighthouse at dusk", "aspectRatio": "4:5", "n": 1}
# Images of 64 x 64 are made fast.
REFINE = {
    "refinePrompt": "the same in snow",
    "images": [encoded(Image.effect_noise((64, 64), 90))],
    "n": 1,
    "seed": 7,
}
# It takes many times as long as a test waits.
LONG = {**GENERATE, "aspectRatio": "1:1", "resolution": "high", "steps": 150}
SOON_SECONDS = 15.0


@pytest.fixture(scope="module")
def images(cluster: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run images, and nothing else."""
    data_dir = tmp_path_factory.mktemp("data")
    settings = {
        "data_dir": str(data_dir),
        "images_model": "tiny",
        "images_precision": "fp32",
        "images_threads": 1,
    }
    args = checked({"settings": settings, "systems": {"images": {}}})
    with running(cluster, args, data_dir) as service:
        wait_for(lambda: health(service)["status"] == "healthy", timeout_seconds=60)
        yield service


def health(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{service.url}/health").json()
    return found


def refine(service: Service, **fields: Any) -> httpx.Response:
    return httpx.post(
        f"{service.url}/refine", json={**REFINE, **fields}, timeout=SOON_SECONDS
    )


def leave_midway(service: Service, path: str) -> None:
    """Ask for what takes long, and hang up."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{service.url}{path}", json=LONG, timeout=1.5)


def test_a_client_gets_what_the_contract_says(images: Service) -> None:
    answer = httpx.post(f"{images.url}/generate", json=GENERATE, timeout=60)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    (text,) = found["images"]
    assert opened(text).size == (512, 640)
    assert found["warnings"] == []
    assert "random weights" in found["model"]
    report = health(images)
    assert (report["status"], report["device"]) == ("healthy", "cpu")
    assert report["model"] == found["model"]
    assert report["optimizations"]["scheduler"] == found["scheduler"]


def test_the_same_seed_gives_the_same_bytes_alone_and_again(images: Service) -> None:
    first, again = refine(images), refine(images)
    assert first.status_code == 200, first.text
    assert first.json()["images"] == again.json()["images"]
    assert first.json()["seeds"] == [7]


def test_errors_are_problems_that_pages_of_this_machine_can_read(
    images: Service,
) -> None:
    headers = {"Origin": "http://localhost:8081"}
    for fields, status in ((REFINE | {"images": ["%"]}, 400), ({}, 422)):
        answer = httpx.post(f"{images.url}/refine", json=fields, headers=headers)
        assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
        assert answer.headers["access-control-allow-origin"] == headers["Origin"]


@pytest.mark.parametrize("path", ["/generate", "/generate?stream=1"])
def test_a_client_that_leaves_frees_the_model(images: Service, path: str) -> None:
    if path.endswith("=1"):
        url = f"{images.url}{path}"
        with httpx.stream("POST", url, json=LONG, timeout=30) as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if '"step": 1' in line)
    else:
        leave_midway(images, path)
    began = time.monotonic()
    assert refine(images).status_code == 200
    assert time.monotonic() - began < SOON_SECONDS / 2


def test_a_stream_ends_with_the_images(images: Service) -> None:
    url = f"{images.url}/refine?stream=1"
    answer = httpx.post(url, json={**REFINE, "strength": 1}, timeout=SOON_SECONDS)
    lines = answer.text.splitlines()
    names = [line for line in lines if line.startswith("event: ")]
    *steps, last = [
        json.loads(line.removeprefix("data: "))
        for line in lines
        if line.startswith("data: ")
    ]
    assert names == ["event: step"] * len(steps) + ["event: images"]
    assert [step["step"] for step in steps] == list(range(steps[-1]["steps"] + 1))
    assert opened(steps[-1]["previews"][0]).size == (8, 8)
    assert opened(last["images"][0]).size == (64, 64)


def test_health_answers_soon_while_the_model_works(images: Service) -> None:
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(leave_midway, images, "/generate")
        seconds = []
        while not working.done():
            began = time.monotonic()
            assert health(images)["device"] == "cpu"
            seconds.append(time.monotonic() - began)
        working.result()
    # Another process may have the only core for a moment: the middle one counts.
    assert sorted(seconds)[len(seconds) // 2] < 0.3


def test_a_full_queue_refuses_at_once_and_nobody_hangs(images: Service) -> None:
    with ThreadPoolExecutor(50) as threads:
        answers = list(
            threads.map(lambda _: refine(images, steps=50, strength=1), range(50))
        )
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(served) + len(refused) == 50
    assert 8 <= len(served) < 50
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    # Together or alone, an image of a seed is the same but for rounding.
    assert len({answer.json()["seeds"][0] for answer in served}) == 1
