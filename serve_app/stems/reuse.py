"""Reuse of stems: a song that was separated before is not separated again."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import PurePath

from serve_app.errors import Unavailable
from serve_app.filenames import titles
from serve_app.jobs.job import State
from serve_app.jobs.store import JobStore
from serve_app.separation import licences
from serve_app.separation.licences import Allowed
from serve_app.stems.kind import STEMS
from serve_app.stems.request import Result, SeparationJob, SeparationRequest, StemFile
from serve_app.storage.port import Storage

logger = logging.getLogger(__name__)

HIT = "hit"


class Reuse:
    """Give jobs the stems of earlier jobs with the same song and options.

    The files are copied within `storage`, so that each job's files are deleted with it.
    Stems are reused only if the weights of their model have an `allowed` licence.
    `on_reuse` gets each job whose stems were reused.
    """

    def __init__(
        self,
        store: JobStore[SeparationRequest, Result],
        storage: Storage,
        clock: Callable[[], datetime],
        allowed: Allowed = "any",
        on_reuse: Callable[[SeparationJob], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._storage = storage
        self._clock = clock
        self._allowed = allowed
        self._on_reuse = on_reuse

    def result(
        self, job: SeparationJob, donors: Sequence[SeparationJob] = ()
    ) -> Result | None:
        """Return a result for `job` with copied stems, or None if there is none.

        `donors` are jobs with the same file: the song is copied from one of them, too.
        Without donors, jobs with the same audio are looked up; their files may differ,
        so the caller stores the song. A donor whose files are deleted meanwhile is
        skipped.
        """
        if job.same_work is None:
            return None
        for donor in donors or self._store.with_same_work(job.same_work):
            if donor.state is not State.SUCCEEDED or not self._is_kept(donor):
                continue
            if not self._is_allowed(donor):
                continue
            song = donor.request.source.key if donors else None
            try:
                copied = self._copied(donor, job, song)
            except (FileNotFoundError, Unavailable) as err:
                logger.info("stems not reused job=%s of=%s: %s", job.id, donor.id, err)
                self._storage.delete(_folder(job))
                if song is not None:
                    self._storage.delete(job.request.source.key)
            else:
                self._on_reuse(donor)
                return copied
        return None

    def _is_kept(self, job: SeparationJob) -> bool:
        return job.expires_at is None or job.expires_at > self._clock()

    def _is_allowed(self, job: SeparationJob) -> bool:
        made_by = None if job.result is None else licences.of(job.result.model)
        return licences.is_allowed(made_by, self._allowed)

    def _copied(
        self, donor: SeparationJob, job: SeparationJob, song: str | None
    ) -> Result:
        if donor.result is None:
            raise ValueError(f"job {donor.id} succeeded without a result")
        stems = donor.result.stems
        # In parallel: a store over a network takes some time for each file.
        with ThreadPoolExecutor(len(stems) + 1, "copy") as pool:
            copying = pool.map(partial(self._copy, job), stems)
            if song is not None:
                pool.submit(self._storage.copy, song, job.request.source.key).result()
            copies = tuple(copying)
        return replace(donor.result, stems=copies, cache=HIT, device_seconds=0.0)

    def _copy(self, job: SeparationJob, stem: StemFile) -> StemFile:
        path = PurePath(stem.key)
        place = f"{_folder(job)}/{path.name}"
        self._storage.copy(stem.key, place)
        suffix = f"_{stem.name}{path.suffix}"
        filename = titles.file_name(job.request.source.filename, suffix)
        return replace(stem, key=place, filename=filename)


def _folder(job: SeparationJob) -> str:
    return f"{STEMS}/{job.id}/{job.attempt}"
