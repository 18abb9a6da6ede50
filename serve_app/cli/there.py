"""Songs sent to a server, and what it gives back."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from serve_app.cli.board import Board
from serve_app.cli.crew import Crew, Interrupt, Track
from serve_app.cli.separation import Order, Separated
from serve_app.client import Client, JobFailed, RemoteJob, RemoteStem
from serve_app.errors import Cancelled

SONGS_AT_ONCE = 3

# How full a song's bar is once it has been sent, and once it is separated.
_SENT, _SEPARATED = 0.05, 0.9


def separate(places: Mapping[Path, Path], order: Order, server: str) -> int:
    """Have songs separated into their places; return how many failed."""
    interrupt = Interrupt()
    with Client(server, pause=interrupt.pause) as client, Board() as board:

        def work(song: Path, track: Track) -> None:
            board.say(str(_separate(client, song, places[song], order, track)))

        done = Crew(board, interrupt, work, SONGS_AT_ONCE).run(places)
    return len(places) - len(done)


def analyze(songs: Iterable[Path], server: str) -> Mapping[Path, Mapping[str, Any]]:
    """Have songs analysed; those that failed are named and left out."""
    interrupt = Interrupt()
    with Client(server, pause=interrupt.pause) as client, Board() as board:

        def work(song: Path, track: Track) -> Mapping[str, Any]:
            return client.analyze(song, partial(track.show, "analysing"))

        return Crew(board, interrupt, work, SONGS_AT_ONCE).run(songs)


def _separate(
    client: Client, song: Path, place: Path, order: Order, track: Track
) -> Separated:
    ticket = client.separate(
        song, order.fields, lambda done: track.show("sending", _SENT * done)
    )
    try:
        return _fetch(client, client.wait(ticket, partial(_show, track)), place, track)
    except Cancelled:
        client.cancel(ticket)
        raise


def _show(track: Track, job: RemoteJob) -> None:
    done = _SENT + (_SEPARATED - _SENT) * job.progress
    track.show(job.stage or job.status, done)


def _fetch(client: Client, job: RemoteJob, place: Path, track: Track) -> Separated:
    if not job.stems:
        raise JobFailed("The server completed the song without any stem. Try again.")
    place.mkdir(parents=True, exist_ok=True)
    share = (1.0 - _SEPARATED) / len(job.stems)
    files = []
    for number, stem in enumerate(job.stems):
        path = place / f"{stem.name}{stem.suffix}"
        start = _SEPARATED + share * number
        client.download(stem, path, _fetching(track, stem, start, share))
        files.append(path)
    return Separated(files, job.model or "unknown", job.gain)


def _fetching(
    track: Track, stem: RemoteStem, start: float, share: float
) -> Callable[[float], None]:
    return lambda done: track.show(f"fetching {stem.name}", start + share * done)
