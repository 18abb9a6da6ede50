"""The health report comes within its timeout, and is checked once for all requests."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from serve_app.api import health
from serve_app.api.app import create_app
from serve_app.api.door import OpenDoor
from serve_app.api.health import HealthProbe
from serve_app.api.part import ApiPart
from serve_app.api.services import Services
from serve_app.errors import Unavailable
from serve_app.idempotency.response import StoredResponse
from tests.unit.server import connect

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FINE: Mapping[str, Any] = {"ready": True}
# 300 ms are promised, to which a busy machine adds.
PROMISED_SECONDS = 0.3
SOON_SECONDS = 2.0


class Part:
    """Says what it is told to, once it may; counts how often it is asked."""

    def __init__(
        self,
        name: str,
        report: Mapping[str, Any] | Exception = FINE,
        own: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.own = own
        self.report = report
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def health(self) -> Mapping[str, Any]:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self.report, Exception):
            raise self.report
        return self.report

    @property
    def api_part(self) -> ApiPart:
        return ApiPart(self.name, (), health=self.health, health_names=self.own)


def probe_of(*parts: Part) -> HealthProbe:
    api_parts = [part.api_part for part in parts]
    return HealthProbe(api_parts, lambda: NOON, OpenDoor().is_open)


async def report_of(*parts: Part) -> Mapping[str, Any]:
    return await probe_of(*parts).report(10.0)


class NoAnswers:
    def find(self, request_id: str) -> StoredResponse | None:
        return None

    def keep(self, answer: StoredResponse) -> StoredResponse | None:
        return None


def client_of(parts: Sequence[Part]) -> httpx.AsyncClient:
    services = Services(NoAnswers(), lambda: NOON)
    return connect(create_app(services, [part.api_part for part in parts]))


async def test_while_a_part_hangs_the_answer_comes_soon_with_what_is_known() -> None:
    part = Part("a", {"ready": True, "model": "demo"})
    part.may_answer.clear()
    probe = probe_of(part)
    began = time.monotonic()
    report = await probe.report()
    assert time.monotonic() - began < SOON_SECONDS
    assert (report["ready"], report["status"]) == (False, "unavailable")
    assert report["reason"] == "The service is starting."
    part.may_answer.set()
    known = await probe.report()
    assert (known["ready"], known["model"]) == (True, "demo")


async def test_what_was_known_is_told_until_something_newer_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    part = Part("a", {"ready": True, "model": "demo"})
    probe = probe_of(part)
    known = await probe.report()
    part.may_answer.clear()
    part.report = {"ready": False, "reason": "It is gone."}
    began = time.monotonic()
    assert await probe.report() == known
    assert time.monotonic() - began < SOON_SECONDS
    part.may_answer.set()
    assert (await probe.report())["reason"] == "It is gone."


async def test_one_question_is_asked_at_a_time_and_answers_all_who_wait() -> None:
    part = Part("a")
    part.may_answer.clear()
    probe = probe_of(part)
    waiting = [asyncio.ensure_future(probe.report(10.0)) for _ in range(20)]
    await asyncio.sleep(0.01)
    # Who goes away takes nothing from the others.
    waiting.pop().cancel()
    part.may_answer.set()
    reports = await asyncio.gather(*waiting)
    assert part.asked == 1
    assert all(report == reports[0] for report in reports)


async def test_an_answer_is_fresh_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part("a")
    probe = probe_of(part)
    for _ in range(5):
        await probe.report()
    assert part.asked == 1
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    await probe.report()
    assert part.asked == 2


async def test_the_fields_of_one_part_are_the_report() -> None:
    report = await report_of(Part("a", {"ready": True, "model": "demo"}))
    assert report == {
        "status": "ok",
        "ready": True,
        "reason": None,
        "timestamp": NOON,
        "access": "open",
        "model": "demo",
    }


async def test_a_later_part_hides_an_earlier_one_s_fields_of_the_same_name() -> None:
    first = {"ready": True, "model": "demo", "device": "cpu"}
    second = {"ready": True, "model": "other", "index": 3}
    report = await report_of(Part("a", first), Part("b", second))
    assert (report["model"], report["device"], report["index"]) == ("other", "cpu", 3)
    assert report["systems"] == {"a": first, "b": second}


async def test_a_later_part_does_not_hide_what_an_earlier_one_claims() -> None:
    first = {"ready": True, "model": "demo", "device": "cpu", "jobs_count": 1}
    second = {"ready": True, "model": "other", "device": "cuda", "jobs_count": 2}
    songs = Part("a", first, ("jobs_count",))
    report = await report_of(songs, Part("b", second))
    told = (report["model"], report["device"], report["jobs_count"])
    assert told == ("other", "cuda", 1)
    assert report["systems"] == {"a": first, "b": second}


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("failed", [{"ready": False}, Unavailable("No weights.")])
async def test_what_a_part_claims_is_never_another_s(
    is_first: bool, failed: Mapping[str, Any] | Exception
) -> None:
    """A client that looks for a GPU must not see that of another system."""
    songs = Part("a", {"ready": True, "device": "cuda", "index": 3})
    pictures = Part("b", failed, ("device",))
    report = await report_of(*[songs, pictures][:: 1 if is_first else -1])
    assert "device" not in report
    assert report["index"] == 3
    assert report["systems"]["a"]["device"] == "cuda"


@pytest.mark.parametrize(
    ("songs", "pictures", "status"),
    [
        (FINE, FINE, "ok"),
        (FINE, {"ready": True, "reason": "Slow."}, "degraded"),
        ({"ready": False}, {"ready": True, "reason": "Slow."}, "unavailable"),
        (FINE, {"ready": False, "status": "ok"}, "unavailable"),
        (FINE, {"ready": True, "status": "healthy"}, "ok"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_the_worst_status_is_the_service_s(
    songs: Mapping[str, Any], pictures: Mapping[str, Any], status: str, is_first: bool
) -> None:
    parts = [Part("a", songs), Part("b", pictures)][:: 1 if is_first else -1]
    assert (await report_of(*parts))["status"] == status


@pytest.mark.parametrize("is_first", [True, False])
async def test_clients_of_one_system_may_expect_healthy(is_first: bool) -> None:
    pictures = replace(Part("b").api_part, healthy_status="healthy")
    parts = [Part("a").api_part, pictures][:: 1 if is_first else -1]
    probe = HealthProbe(parts, lambda: NOON, OpenDoor().is_open)
    assert (await probe.report(SOON_SECONDS))["status"] == "healthy"


async def test_parts_that_say_nothing_are_no_systems() -> None:
    quiet = ApiPart("quiet", ())
    probe = HealthProbe([quiet, Part("a").api_part], lambda: NOON, OpenDoor().is_open)
    assert "systems" not in await probe.report()


@pytest.mark.parametrize("is_first", [True, False])
async def test_all_are_ready_or_the_service_is_not(is_first: bool) -> None:
    parts = [Part("a"), Part("b", {"ready": False, "reason": "No weights."})]
    report = await report_of(*parts[:: 1 if is_first else -1])
    assert (report["ready"], report["status"]) == (False, "unavailable")
    assert report["reason"] == "No weights."
    assert report["systems"]["a"] == FINE


async def test_each_reason_is_told_once() -> None:
    reasons = ["The disk is full.", "No weights.", "The disk is full."]
    parts = [
        Part(name, {"ready": True, "reason": reason})
        for name, reason in zip("abc", reasons, strict=True)
    ]
    report = await report_of(*parts)
    assert (report["ready"], report["status"]) == (True, "degraded")
    assert report["reason"] == "The disk is full. No weights."


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Unavailable("The index is away."), "The index is away."),
        (RuntimeError("secret"), "b failed (RuntimeError); see the log."),
    ],
)
async def test_a_part_that_fails_is_told_and_hides_no_other(
    failure: Exception, reason: str
) -> None:
    report = await report_of(Part("a", {"ready": True, "n": 1}), Part("b", failure))
    assert (report["ready"], report["reason"], report["n"]) == (False, reason, 1)


async def test_a_part_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PART_SECONDS", 0.05)
    hung = Part("b")
    hung.may_answer.clear()
    report = await report_of(Part("a", {"ready": True, "n": 1}), hung)
    assert report["reason"] == "b failed (TimeoutError); see the log."
    assert report["n"] == 1


def test_what_takes_longest_is_told_as_such() -> None:
    """Else the whole part would be given up with one thing that it looks at."""
    assert health.WAIT_SECONDS < PROMISED_SECONDS
    assert health.CHECK_SECONDS < health.PART_SECONDS < health.READY_SECONDS < 5


async def test_readyz_waits_for_the_answer_and_health_does_not() -> None:
    part = Part("a")
    part.may_answer.clear()
    async with client_of([part]) as client:
        began = time.monotonic()
        answer = await client.get("/health")
        assert time.monotonic() - began < SOON_SECONDS
        assert (answer.status_code, answer.json()["ready"]) == (200, False)
        ready = asyncio.ensure_future(client.get("/readyz"))
        await asyncio.sleep(2 * PROMISED_SECONDS)
        assert not ready.done()
        part.may_answer.set()
        assert (await ready).status_code == 200
    assert part.asked == 1


@pytest.mark.parametrize("is_ready", [True, False])
async def test_health_answers_200_and_readyz_says_by_its_status(is_ready: bool) -> None:
    parts = [Part("a"), Part("b", {"ready": is_ready, "reason": "Degraded."})]
    async with client_of(parts) as client:
        ready, answer = await client.get("/readyz"), await client.get("/health")
    assert (ready.status_code, answer.status_code) == (200 if is_ready else 503, 200)
    assert ready.json() == answer.json()
    assert set(answer.json()["systems"]) == {"a", "b"}
    for each in (ready, answer):
        assert each.headers["cache-control"] == "no-store"
