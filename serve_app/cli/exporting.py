"""`stemserve export`: export a job or a local song for a DJ program."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from serve_app.cli import credentials
from serve_app.cli.progress import Display, printable
from serve_app.cli.songs import stems_in
from serve_app.errors import InvalidInput, not_written
from serve_app.stems.exports import forms
from serve_app.stems.exports.forms import Export


@dataclass(frozen=True)
class ExportOptions:
    """What to export, in which format, and where to.

    `song` is the id of a job, or the path of a song. `out` is a file, or a folder in
    which the file is named after the job or the song. `stems` is a folder of stems, for
    formats that need them.
    """

    song: str
    format: str
    out: Path
    stems: Path | None = None


def run(options: ExportOptions, server: str | None, is_quiet: bool) -> None:
    """Export a job of `server`, or a local song if it is None; print the result's path.

    Raises InvalidInput for an unknown format, or one that this song can't have.
    """
    form = forms.parse(options.format)
    with Display(is_quiet) as display:
        bar = display.bar(f"exporting {form.name}")
        if server is None:
            path = _export_locally(options, form)
        else:
            path = _export_from_server(options, server)
        bar.close()
        if not is_quiet:
            display.print_line(printable(path))


def _export_from_server(options: ExportOptions, server: str) -> Path:
    from serve_app.client import Client, Ticket

    if not options.song.isalnum():
        raise InvalidInput(
            f"{options.song} is not a job id. To export a file, add --local."
        )
    if options.stems is not None:
        raise InvalidInput(
            "--stems requires --local: the server uses the stems of the job."
        )
    target = _target(options, options.song)
    with Client(server, headers=credentials.headers()) as client:
        return client.export(Ticket(options.song, server), options.format, target)


def _export_locally(options: ExportOptions, form: Export) -> Path:
    from serve_app.audio.limits import AudioLimits
    from serve_app.audio.measure import measure
    from serve_app.cli.configuration import read_settings
    from serve_app.stems import beats, song_track
    from serve_app.stems.exports import writers
    from serve_app.stems.reporter import heard

    song = Path(options.song)
    stems = _stems(options, form)
    settings = read_settings()
    limits = AudioLimits(settings.max_duration_seconds, settings.max_audio_values)
    try:
        facts = measure(song, limits)
    except OSError as err:
        raise InvalidInput(f"{song} can't be read: {err.strerror}.") from err
    listener = heard(song, beats.listener_maker(settings), Event())
    report = listener.finish().to_dict()
    # DJ programs on this machine find the song by its absolute path.
    track = song_track.read(song, str(song.resolve()), facts, report)
    target = _target(options, song.stem)
    if target.exists() and any(map(target.samefile, (song, *stems.values()))):
        raise InvalidInput(
            f"{target} is an input of this export: give --out another name."
        )
    # The target is replaced only when the export is complete.
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        writers.write(form.name, writers.Song(track, song, stems), unfinished)
        unfinished.replace(target)
    except ValueError as err:
        raise InvalidInput(str(err)) from err
    except OSError as err:
        raise not_written(target, err) from err
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _stems(options: ExportOptions, form: Export) -> dict[str, Path]:
    if not form.needs_stems:
        return {}
    if options.stems is None:
        raise InvalidInput(
            f"{form.name} needs stems. Run `stemserve separate SONG --out STEMS`, then "
            "add --stems STEMS/SONG."
        )
    return stems_in(options.stems)


def _target(options: ExportOptions, name: str) -> Path:
    if options.out.is_dir():
        return options.out / f"{name}{forms.parse(options.format).suffix}"
    return options.out
