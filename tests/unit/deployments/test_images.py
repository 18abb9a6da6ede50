"""Images run where they are configured, and their pool waits for its model."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Event

import pytest

from deployments import images
from deployments.args import checked
from deployments.images import ImagesArgs, ImagesSystem, Making
from deployments.pool import Pool
from deployments.ray_errors import Failed
from serve_app.diffusion.errors import ModelUnavailable, Stopped
from serve_app.diffusion.port import Facts, ImageRequest, Made, Step
from serve_app.errors import AppError, QueueFull
from serve_app.settings import Settings
from tests.images import FACTS, made, picture

pytestmark = pytest.mark.anyio

REQUEST = ImageRequest("a prompt", 8, 8, seeds=(1, 2), steps=50)


class Engine:
    """Make pictures of seeds, a step whenever it may."""

    def __init__(self) -> None:
        self.may_step = Event()
        self.step_seconds: float | None = 0.002
        self.has_stepped = Event()
        self.stopped_at: list[int] = []

    def facts(self) -> Facts:
        """Return the facts."""
        return FACTS

    def batch_key(self, request: ImageRequest) -> tuple[object, ...]:
        """Return the steps."""
        return (request.steps,)

    def make(
        self,
        requests: Sequence[ImageRequest],
        on_step: Callable[[Mapping[int, Step]], None],
        is_wanted: Callable[[], bool],
        with_previews: frozenset[int] = frozenset(),
    ) -> list[Made]:
        """Make all steps of a batch."""
        steps = requests[0].steps or 1
        for number in range(1, steps + 1):
            self.has_stepped.set()
            self.may_step.wait(self.step_seconds)
            if not is_wanted():
                self.stopped_at.append(number)
                raise Stopped
            on_step(
                {
                    index: Step(number, steps, (picture(1),) * (index in with_previews))
                    for index in range(len(requests))
                }
            )
        return [made(request) for request in requests]


@pytest.fixture
def engine() -> Engine:
    return Engine()


def test_they_run_beside_stems_where_a_model_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(checked({}).made()) == {"stems"}
    monkeypatch.setenv("SD_MODEL_ID", "tiny")
    assert set(checked({}).made()) == {"stems", "images"}
    assert set(checked({"systems": {"stems": {}}}).made()) == {"stems"}
    monkeypatch.delenv("SD_MODEL_ID")
    monkeypatch.setenv("IMAGES_MODEL", "tiny")
    assert set(checked({}).made()) == {"stems", "images"}


def test_a_config_may_name_them_with_a_share_of_a_gpu() -> None:
    pool = {"num_gpus": 0.5}
    systems = checked({"systems": {"images": {"images": pool}}}).made()
    system = systems["images"]
    assert isinstance(system, ImagesSystem)
    found = system.args.images
    # What it does not name is that of the pool, and not that of any.
    assert (found.num_gpus, found.max_ongoing_requests) == (0.5, 64)
    assert set(systems) == {"images"}


def test_a_pool_must_take_what_it_refuses() -> None:
    system = ImagesSystem(ImagesArgs(images=Pool(max_ongoing_requests=8)))
    with pytest.raises(ValueError, match="must be more than STEMSERVE_IMAGES_QUEUE=8"):
        system.pools(Settings())


async def test_a_request_waits_for_the_model(engine: Engine) -> None:
    may_load = Event()

    def load() -> Engine:
        may_load.wait()
        return engine

    pool = Making(load, 8, 4)
    waiting = asyncio.ensure_future(pool.generate(REQUEST))
    said = await pool.describe()
    assert isinstance(said, Failed)
    assert "is being loaded" in said.error.detail
    may_load.set()
    found = await waiting
    assert isinstance(found, Made)
    assert (found.seeds, await pool.describe()) == ((1, 2), FACTS)


async def test_a_model_that_could_not_be_loaded_is_tried_again(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = 0

    def load() -> Engine:
        nonlocal times
        times += 1
        if times == 1:
            raise ModelUnavailable("The hub does not answer. Try again later.")
        return engine

    pool = Making(load, 8, 4)
    for said in (await pool.generate(REQUEST), await pool.describe()):
        assert isinstance(said, Failed)
        assert said.error.code == "model_unavailable"
    assert caplog.messages == [
        "image model not loaded error=The hub does not answer. Try again later."
    ]
    # Not at each request.
    assert isinstance(await pool.generate(REQUEST), Failed)
    assert times == 1
    monkeypatch.setattr(images, "_RETRY_LOADING_SECONDS", 0.0)
    pool._retries_at = 0.0
    assert isinstance(await pool.generate(REQUEST), Made)
    assert times == 2


async def test_a_stream_has_all_steps_and_the_images(engine: Engine) -> None:
    pool = Making(lambda: engine, 8, 4)
    found = [event async for event in pool.stream(REQUEST)]
    steps = [event for event in found if isinstance(event, Step)]
    assert [step.number for step in steps] == list(range(51))
    assert all(len(step.previews) == 1 for step in steps[1:])
    assert isinstance(found[-1], Made)


async def test_a_cancelled_call_frees_the_model_long_before_its_end(
    engine: Engine,
) -> None:
    pool = Making(lambda: engine, 8, 4)
    for number in range(1, 6):
        engine.has_stepped.clear()
        call = asyncio.ensure_future(pool.generate(REQUEST))
        await asyncio.to_thread(engine.has_stepped.wait)
        call.cancel()
        await asyncio.wait({call})
        # The next one is not held up, and is whole.
        assert isinstance(await pool.generate(REQUEST), Made)
        assert len(engine.stopped_at) == number
    assert max(engine.stopped_at) < 25


async def test_a_closed_stream_frees_the_model(engine: Engine) -> None:
    pool = Making(lambda: engine, 8, 4)
    stream = pool.stream(REQUEST)
    async for event in stream:
        if isinstance(event, Step) and event.number == 1:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    assert isinstance(await pool.generate(REQUEST), Made)
    assert len(engine.stopped_at) == 1


async def test_more_requests_than_the_queue_has_are_refused_with_a_time(
    engine: Engine,
) -> None:
    pool = Making(lambda: engine, 8, 4)
    calls = [pool.generate(REQUEST) for _ in range(48)]
    streams = [anext(aiter(pool.stream(REQUEST))) for _ in range(2)]
    found = await asyncio.wait_for(asyncio.gather(*calls, *streams), 20)
    assert sum(isinstance(each, Made) for each in found) == 8
    refused = [each.error for each in found if isinstance(each, Failed)]
    assert len(refused) == 42
    assert all(isinstance(error, QueueFull) for error in refused)
    assert min(_after(error) for error in refused) >= 1


async def test_a_replica_whose_engine_hangs_says_that_it_is_not_healthy(
    engine: Engine,
) -> None:
    pool = Making(lambda: engine, 8, 4, step_timeout_seconds=0.2)
    await pool.check_health()
    # Its steps are quick, though all of them together take longer than one may.
    slow = replace(REQUEST, steps=200)
    call = asyncio.ensure_future(pool.generate(slow))
    while not call.done():
        await pool.check_health()
        await asyncio.sleep(0.01)
    hangs = Event()
    engine.may_step = hangs
    engine.step_seconds = None
    call = asyncio.ensure_future(pool.generate(REQUEST))
    await asyncio.sleep(0.4)
    with pytest.raises(TimeoutError, match="image engine hangs"):
        await pool.check_health()
    hangs.set()
    await call
    await pool.check_health()


def _after(error: AppError) -> int:
    assert isinstance(error, QueueFull)
    return error.retry_after_seconds
