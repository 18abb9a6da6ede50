"""Jobs that their clients delete."""

from collections.abc import Iterable

from serve_app.stems.http.services import J, Queue, StemsServices


def delete(
    services: StemsServices,
    queue: Queue[J],
    kind: str,
    folders: Iterable[str],
    job_id: str,
) -> str:
    """Cancel a job of a `kind` if it is not over, and delete it with its files.

    Returns what the client is told.
    """
    job = queue.cancel(job_id)
    services.stop(kind, job_id)
    # A running job can only end as cancelled now, even if it misses its files.
    for folder in folders:
        services.storage.delete(f"{folder}/{job_id}")
    if job.cancel_requested:
        return "The job is cancelled and its files are deleted."
    queue.remove(job_id)
    return "The job and its files are deleted."
