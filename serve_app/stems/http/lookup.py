"""Lookup of a client's jobs and stems, with the errors that clients get."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

from serve_app.api.clients import Client
from serve_app.api.links import ClientLinks
from serve_app.api.ranges import ByteRange
from serve_app.api.threads import run_in_thread
from serve_app.errors import JobNotFound, NotReady, StemNotFound
from serve_app.filenames.content_disposition import attachment
from serve_app.jobs.job import State
from serve_app.stems import view
from serve_app.stems.analysis_jobs.request import AnalysisJob
from serve_app.stems.http.services import J, Queue, StemsServices
from serve_app.stems.request import Result, SeparationJob, StemFile
from serve_app.stems.wire import (
    JobStatus,
    JobView,
)

_JOB_ID = re.compile(r"[0-9a-f]{32}")


def find_job(services: StemsServices, client: Client, job_id: str) -> SeparationJob:
    """Return a client's job.

    Raises JobNotFound for one that is unknown, deleted, expired or another tenant's.
    """
    job = _found(services.jobs, services.clock(), client, job_id)
    if job is None:
        raise JobNotFound
    return job


def find_analysis(services: StemsServices, client: Client, job_id: str) -> AnalysisJob:
    """Return a client's analysis job; raises as `find_job` does."""
    job = _found(services.analysis_jobs, services.clock(), client, job_id)
    if job is None:
        raise JobNotFound
    return job


def _found(queue: Queue[J], now: datetime, client: Client, job_id: str) -> J | None:
    """Return the job if its client may see it."""
    if not _JOB_ID.fullmatch(job_id):
        return None
    # Another tenant's job takes as long as none: its row is not read.
    job = queue.find_of(client.tenant, job_id)
    if job is None:
        return None
    # A deleted job stays in the database until its worker has stopped.
    if job.cancel_requested:
        return None
    is_expired = job.expires_at is not None and job.expires_at <= now
    return None if is_expired else job


async def shown(
    services: StemsServices, job: SeparationJob, links: ClientLinks
) -> JobView:
    """Return the current view of `job`, with URLs for the client that has `links`."""
    urls = {}
    if job.result is not None:
        urls = {
            stem.name: links.url(view.stem_path(job.id, stem), job.expires_at)
            for stem in job.result.stems
        }
        if services.limits.link_seconds:
            urls |= await run_in_thread(_links, services, job.result, job.expires_at)
    shown = view.job_view(job, services.clock(), links.base_url, urls)
    return shown.model_copy(update={"hf_space_url": services.public_url or None})


def _links(
    services: StemsServices, result: Result, expires_at: datetime | None
) -> dict[str, str]:
    """Return the presigned URLs of stems by name, where the storage has such."""
    seconds = services.limits.link_seconds
    if expires_at is not None:
        left = (expires_at - services.clock()).total_seconds()
        seconds = max(1, min(seconds, int(left)))
    found = {}
    for stem in result.stems:
        disposition = attachment(stem.filename)
        with suppress(FileNotFoundError):
            link = services.storage.link(
                stem.key, disposition, stem.media_type, seconds
            )
            if link is not None:
                found[stem.name] = link
    return found


def find_stem(
    services: StemsServices, client: Client, job_id: str, name: str
) -> StemFile:
    """Return a finished stem whose file exists.

    Raises JobNotFound, NotReady while the job is unfinished or when it has failed, and
    StemNotFound, which lists the job's stems, for one that the job does not make.
    """
    job = find_job(services, client, job_id)
    if not view.is_over(job) and name not in job.request.options.stems:
        raise _no_stem(name, job.request.options.stems)
    for stem in check_stems(job):
        if stem.name == name:
            with expired():
                services.storage.stat(stem.key)
            return stem
    raise _no_stem(name, [stem.name for stem in check_stems(job)])


def check_stems(job: SeparationJob) -> Sequence[StemFile]:
    """Return the stems of a job; raise NotReady unless it has succeeded."""
    if job.state is not State.SUCCEEDED or job.result is None:
        raise _not_ready(job)
    return job.result.stems


def find_running(
    services: StemsServices, client: Client, job_id: str, name: str
) -> SeparationJob:
    """Return a job that makes or has made the stem `name`.

    Raises JobNotFound, StemNotFound, and NotReady if it ended without stems.
    """
    job = find_job(services, client, job_id)
    if view.is_over(job) and job.state is not State.SUCCEEDED:
        raise _not_ready(job)
    if name not in job.request.options.stems:
        raise _no_stem(name, job.request.options.stems)
    return job


def read(services: StemsServices, key: str, span: ByteRange) -> Iterator[bytes]:
    """Return a range of a job's file; raise JobNotFound if it was just deleted."""
    with expired():
        return services.storage.read(key, span.start, span.end)


@contextmanager
def expired() -> Iterator[None]:
    """Raise JobNotFound for a FileNotFoundError: the job has just been deleted."""
    try:
        yield
    except FileNotFoundError as err:
        raise JobNotFound from err


def _no_stem(name: str, names: Iterable[str]) -> StemNotFound:
    return StemNotFound(
        f"The job has no stem {name[:40]!r}. Choose one of: {', '.join(names)}."
    )


def _not_ready(job: SeparationJob) -> NotReady:
    status = view.status(job)
    if status in (JobStatus.PENDING, JobStatus.PROCESSING):
        return NotReady(
            f"The job is {status.value}. Poll /job/{job.id} until it is completed."
        )
    if status is JobStatus.CANCELLED:
        reason = "it was cancelled"
    else:
        reason = f"it failed: {(job.error or 'unknown error').rstrip('.')}"
    return NotReady(
        f"The job has no stems because {reason}. Upload the song again with "
        "POST /separate."
    )
