"""Separate and analyse songs on a server."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from serve_app.cli import credentials
from serve_app.cli.parallel import Interrupt, Track, current_track
from serve_app.cli.progress import Display
from serve_app.cli.work import Analyzer, BpmRange, Separated, SeparateOptions, Separator
from serve_app.client import (
    Client,
    JobFailed,
    Refused,
    RemoteJob,
    RemoteStem,
    ServerUnreachable,
)
from serve_app.errors import AppError, Cancelled

SONGS_AT_ONCE = 3

# The progress of a song when it has been sent, and when it has been separated.
_SENT, _SEPARATED = 0.05, 0.9

# The text shown for a job's status or stage.
_WORDS = {
    "pending": "waiting",
    "fetch": "reading the song",
    "separate": "separating",
    "upload": "saving the stems",
}


@contextmanager
def separator(
    options: SeparateOptions, server: str, display: Display, interrupt: Interrupt
) -> Iterator[Separator]:
    """Yield a separator on `server`; raises ServerUnreachable if it doesn't respond."""
    with _connected(server, display, interrupt) as client:
        yield Separator(partial(_separate, client, options), SONGS_AT_ONCE)


@contextmanager
def analyzer(
    server: str, display: Display, interrupt: Interrupt, bpm_range: BpmRange
) -> Iterator[Analyzer]:
    """Yield an analyzer on `server`; raises ServerUnreachable if it doesn't respond."""
    with _connected(server, display, interrupt) as client:

        def analyze(song: Path, track: Track) -> Mapping[str, Any]:
            show = partial(track.show, "analysing")
            return dict(client.analyze(song, show, bpm_range))

        yield Analyzer(analyze, SONGS_AT_ONCE)


@contextmanager
def _connected(server: str, display: Display, interrupt: Interrupt) -> Iterator[Client]:
    """Yield a client that has reached its server, so that it retries for longer."""
    with Client(
        server,
        pause=interrupt.pause,
        headers=credentials.headers(),
        on_retry=_show_retry,
    ) as client:
        bar = display.bar(f"connecting to {server}")
        try:
            # An error response, too, shows that the server is reachable.
            with suppress(Refused):
                client.ping()
        except ServerUnreachable as err:
            raise ServerUnreachable(
                f"{err.detail} Start a server with `stemserve serve`, name another "
                "with --server or STEMSERVE_URL, or use --local to run without one."
            ) from err
        finally:
            bar.close()
        yield client


def _show_retry(error: AppError, _seconds: float) -> None:
    track = current_track.get()
    if track is not None:
        is_busy = isinstance(error, Refused) and error.http_status == 429
        track.show_waiting("server is full" if is_busy else "server is unavailable")


def _separate(
    client: Client, options: SeparateOptions, song: Path, directory: Path, track: Track
) -> Separated:
    ticket = client.separate(
        song, options.fields, lambda done: track.show("sending", _SENT * done)
    )
    try:
        job = client.wait(ticket, partial(_show, track))
        return _download(client, job, directory, track)
    except Cancelled:
        client.cancel(ticket)
        raise


def _show(track: Track, job: RemoteJob) -> None:
    done = _SENT + (_SEPARATED - _SENT) * job.progress
    stage = _WORDS.get(job.stage or job.status, "separating")
    track.show(stage, done, job.eta_seconds)


def _download(
    client: Client, job: RemoteJob, directory: Path, track: Track
) -> Separated:
    if not job.stems:
        raise JobFailed("The server completed the job without any stem. Try again.")
    share = (1.0 - _SEPARATED) / len(job.stems)
    files = []
    for number, stem in enumerate(job.stems):
        start = _SEPARATED + share * number
        on_progress = _downloading(track, stem, start, share)
        files.append(client.download(stem, directory / stem.filename, on_progress))
    return Separated(files, job.model or "unknown", job.gain, job.duration_seconds)


def _downloading(
    track: Track, stem: RemoteStem, start: float, share: float
) -> Callable[[float], None]:
    return lambda done: track.show(f"downloading {stem.name}", start + share * done)
