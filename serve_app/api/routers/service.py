"""What the service says of itself."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import TypeVar

from fastapi import APIRouter, Request, Response

from serve_app.api.dependencies import InjectedBaseUrl, InjectedServices
from serve_app.api.problems import documented
from serve_app.api.services import Services
from serve_app.audio.formats import FORMATS, SONG_SUFFIXES
from serve_app.errors import AppError
from serve_app.jobs.job import State
from serve_app.schema import (
    Config,
    DiskHealth,
    Health,
    Model,
    ModelList,
    Ping,
    QueueHealth,
    Root,
)
from serve_app.views import licences_view

logger = logging.getLogger(__name__)
router = APIRouter(tags=["service"], responses=documented())
T = TypeVar("T")

# Shorter than what probes of load balancers commonly wait.
HEALTH_TIMEOUT_SECONDS = 4.0
# A good part of the shortest lease that makes sense.
MOST_SKEW_SECONDS = 2.0


@router.head("/", include_in_schema=False)
@router.get("/", summary="Say what is served here")
async def root(request: Request, response: Response, base_url: InjectedBaseUrl) -> Root:
    """Name the service and its version, and say where its documentation is."""
    response.headers["Cache-Control"] = "no-store"
    return Root(
        version=request.app.version,
        docs=f"{base_url}/docs",
        health=f"{base_url}/health",
    )


@router.head("/ping", include_in_schema=False)
@router.get("/ping", summary="Say hello")
async def ping() -> Ping:
    """Answer, to show that requests arrive."""
    return Ping()


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Is the process alive?")
async def livez() -> Ping:
    """Answer for as long as the process runs; nothing else is looked at."""
    return Ping()


@router.head("/config", include_in_schema=False)
@router.get("/config", summary="Read the configuration")
async def config(services: InjectedServices) -> Config:
    """Say what clients need to know before they upload."""
    return Config(
        hf_space_url=services.public_url,
        default_model=services.default_model,
        formats=tuple(FORMATS),
        supported_formats=SONG_SUFFIXES,
        max_upload_bytes=services.limits.max_upload_bytes,
        max_file_size_mb=services.limits.max_upload_bytes / 1024**2,
        max_job_disk_bytes=services.limits.max_job_disk_bytes,
        max_client_disk_bytes=services.limits.max_client_disk_bytes,
        retention_seconds=services.limits.retention_seconds,
    )


@router.head("/models", include_in_schema=False)
@router.get("/models", summary="List the models")
async def models(services: InjectedServices) -> ModelList:
    """List the models that `POST /separate` takes."""
    offered = [
        Model(
            name=model.name,
            sources=model.sources,
            sample_rate=model.sample_rate,
            trained_on=model.trained_on,
            licence=model.licence,
            licences=licences_view(model.licences),
            description=model.description,
            default=model.name == services.default_model,
        )
        for model in services.models
        if not model.refusal
    ]
    return ModelList(count=len(offered), models=offered)


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    summary="Is the service ready?",
    response_model_exclude_none=True,
    responses={503: {"model": Health, "description": "Not ready; `reason` says why"}},
)
async def health(response: Response, services: InjectedServices) -> Health:
    """Say whether songs can be separated now, on what, and if not why."""
    report = await _health(services)
    response.headers["Cache-Control"] = "no-store"
    response.status_code = 200 if report.ready else 503
    return report


async def _health(services: Services) -> Health:
    reserve = services.reserve
    looks = await asyncio.gather(
        _asked("The pools", services.health()),
        _asked("The job database", asyncio.to_thread(_look_at_jobs, services)),
        _asked("The store of files", asyncio.to_thread(_probe, services)),
        _asked("The disk", asyncio.to_thread(reserve.free_bytes)),
    )
    (pools, no_pools), (jobs, no_jobs), (_, no_storage), (free_bytes, _) = looks
    report = {**(pools or {"ready": False}), "timestamp": services.clock()}
    jobs_bytes = None
    limit = services.limits.max_queued_jobs
    failures = [failure for failure in (no_pools, no_jobs, no_storage) if failure]
    if jobs is not None:
        counts, jobs_bytes, skew_seconds = jobs
        # Those that were deleted are only there until they can be forgotten.
        kept = [count for state, count in counts.items() if state != State.CANCELLED]
        report["jobs_count"] = sum(kept)
        report["queue"] = _queue(counts, limit)
        if abs(skew_seconds) > MOST_SKEW_SECONDS:
            report["reason"] = (
                f"This machine's clock differs from the database's by "
                f"{skew_seconds:+.0f} s: leases rely on it. Set both by NTP."
            )
        if report["queue"].queued >= limit:
            report["reason"] = "The queue is full: songs are refused for now."
    if free_bytes:
        lack = reserve.lack(free_bytes)
        report["disk"] = DiskHealth(
            ok=lack is None,
            reserve_bytes=reserve.reserve_bytes,
            free_bytes=dict(free_bytes),
            jobs_bytes=jobs_bytes,
        )
        report["reason"] = lack or report.get("reason")
    is_ready = bool(report.get("ready")) and not failures
    if failures:
        report["reason"] = " ".join(failures)
    elif not is_ready:
        report["reason"] = report.get("reason") or "The models are being loaded."
    status = "ok" if not report.get("reason") else "degraded"
    report |= {"ready": is_ready, "status": status if is_ready else "unavailable"}
    return Health.model_validate({**report, "storage": {"ok": no_storage is None}})


async def _asked(whom: str, question: Awaitable[T]) -> tuple[T | None, str | None]:
    """Return the answer, or what to say when there is none."""
    try:
        return await asyncio.wait_for(question, HEALTH_TIMEOUT_SECONDS), None
    except AppError as err:
        return None, err.detail
    except Exception as err:
        # Whatever it is, the one who asks after our health is to be told.
        logger.exception("%s failed at a health check", whom)
        return None, f"{whom} failed ({type(err).__name__}); see the log."


def _look_at_jobs(services: Services) -> tuple[Mapping[State, int], int, float]:
    jobs = services.jobs
    return jobs.counts(), jobs.disk_bytes(), jobs.skew_seconds()


def _queue(counts: Mapping[State, int], limit: int) -> QueueHealth:
    return QueueHealth(
        queued=counts.get(State.QUEUED, 0),
        running=counts.get(State.RUNNING, 0),
        max_queued=limit,
    )


def _probe(services: Services) -> None:
    """Ask the store for a file that it need not have; an error is an answer too."""
    with suppress(FileNotFoundError):
        services.storage.stat("health/probe")
