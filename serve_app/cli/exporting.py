"""A song in the form of a DJ program: of a server's job, or made here."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from serve_app.cli.progress import Board, shown
from serve_app.cli.songs import stems_in
from serve_app.errors import InvalidInput
from serve_app.stems.exports import forms
from serve_app.stems.exports.forms import Export


@dataclass(frozen=True)
class Order:
    """What to export in which form: a job by its id, or a song's file.

    `out` is a file, or a folder for one of the song's or the job's name. `stems` is a
    folder of stems, for forms that need them.
    """

    song: str
    format: str
    out: Path
    stems: Path | None = None


def run(order: Order, server: str | None, is_quiet: bool) -> None:
    """Export a job of a server, or a file here if there is none, and name the result.

    Raises InvalidInput for a form that there is not, or not of this song.
    """
    form = forms.parse(order.format)
    with Board(is_quiet) as board:
        bar = board.bar(f"making {form.name}")
        made = _here(order, form) if server is None else _there(order, server)
        bar.close()
        if not is_quiet:
            board.say(shown(made))


def _there(order: Order, server: str) -> Path:
    from serve_app.client import Client, Ticket

    if not order.song.isalnum():
        raise InvalidInput(
            f"{order.song} is no id of a job. Files are exported with --local."
        )
    if order.stems is not None:
        raise InvalidInput("--stems is for --local: a job has stems of its own.")
    target = _target(order, order.song)
    with Client(server) as client:
        return client.export(Ticket(order.song, server), order.format, target)


def _here(order: Order, form: Export) -> Path:
    from serve_app.audio.limits import AudioLimits
    from serve_app.audio.measure import measure
    from serve_app.cli.configuration import read_settings
    from serve_app.stems import beats, song_track
    from serve_app.stems.exports import writers
    from serve_app.stems.reporter import heard

    song = Path(order.song)
    stems = _stems(order, form)
    settings = read_settings()
    limits = AudioLimits(settings.max_duration_seconds, settings.max_audio_values)
    try:
        facts = measure(song, limits)
    except OSError as err:
        raise InvalidInput(f"{song} can't be read: {err.strerror}.") from err
    listener = heard(song, beats.listener_maker(settings), Event())
    report = listener.finish().to_dict()
    # By its path programs find the song on this machine.
    track = song_track.read(song, str(song.resolve()), facts, report)
    target = _target(order, song.stem)
    if target.exists() and any(map(target.samefile, (song, *stems.values()))):
        raise InvalidInput(
            f"{target} is what is to be exported: give --out another name."
        )
    # Whole or not there, and what was there stays until then.
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        writers.write(form.name, writers.Song(track, song, stems), part)
        part.replace(target)
    except ValueError as err:
        raise InvalidInput(str(err)) from err
    except OSError as err:
        raise InvalidInput(f"{target} can't be written: {err.strerror}.") from err
    finally:
        part.unlink(missing_ok=True)
    return target


def _stems(order: Order, form: Export) -> dict[str, Path]:
    if not form.needs_stems:
        return {}
    if order.stems is None:
        raise InvalidInput(
            f"{form.name} needs stems. Make them with `stemserve separate "
            "SONG --out STEMS`, and name their folder: --stems STEMS/SONG."
        )
    return stems_in(order.stems)


def _target(order: Order, name: str) -> Path:
    if order.out.is_dir():
        return order.out / f"{name}{forms.parse(order.format).suffix}"
    return order.out
