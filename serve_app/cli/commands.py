"""What can be typed after `stemserve`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from serve_app.cli import model_commands, storage_commands
from serve_app.errors import AppError
from serve_app.stems.options import BPM_RANGE, FORMAT, MODEL, PRIORITY, STEMS, Option

_DEFAULT_SERVER = "http://127.0.0.1:8000"
# What a shell reports of a program that SIGINT ended.
_INTERRUPTED = 130


class _Commands(TyperGroup):
    """Commands whose errors are told in a line, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AppError as err:
            print(f"Error: {err.detail}", file=sys.stderr)
            raise typer.Exit(1) from err
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None


app = typer.Typer(
    name="stemserve",
    cls=_Commands,
    help="Takes a song, gives back its stems and its analysis.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(model_commands.app, name="models")
app.add_typer(storage_commands.app, name="storage")


def _flag(option: Option) -> Any:
    return typer.Option(f"--{option.name.replace('_', '-')}", help=option.help)


Songs = Annotated[
    list[Path],
    typer.Argument(
        metavar="SONG...", help="Audio files or videos, or folders of them."
    ),
]
Server = Annotated[
    str, typer.Option(envvar="STEMSERVE_URL", help="Address of the server.")
]
Local = Annotated[bool, typer.Option("--local", help="Work here, without a server.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no summary.")
]
BpmRange = Annotated[str, _flag(BPM_RANGE)]


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        print(f"stemserve {version('stemserve')}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine's."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port.")] = 8000,
    config: Annotated[
        Path | None, typer.Option(help="A Serve config instead of the local one.")
    ] = None,
) -> None:
    """Serve on this machine until Ctrl-C."""
    from serve_app.cli import server

    server.become(host, port, config)


@app.command()
def separate(
    songs: Songs,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Stems go to OUT/<song>/<stem>.")
    ],
    server: Server = _DEFAULT_SERVER,
    model: Annotated[str, _flag(MODEL)] = "",
    format: Annotated[str, _flag(FORMAT)] = "",
    stems: Annotated[str, _flag(STEMS)] = "",
    priority: Annotated[str, _flag(PRIORITY)] = "",
    bpm_range: BpmRange = "",
    local: Local = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each song.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors only.")
    ] = False,
) -> None:
    """Separate songs into their stems.

    With --json each song is an object on a line of its own, once it is over:
    song, files, model, gain, duration and seconds, or song and error.

    The exit status is 0 if all songs were separated.
    """
    from serve_app.cli import separation
    from serve_app.cli.progress import Manner
    from serve_app.cli.work import Order

    order = Order(
        model=model,
        stems=stems,
        format=format,
        priority=priority,
        bpm_range=bpm_range,
    )
    manner = Manner(as_json=json, is_quiet=quiet)
    failures = separation.run(songs, out, order, None if local else server, manner)
    raise typer.Exit(1 if failures else 0)


@app.command()
def analyze(
    songs: Songs,
    server: Server = _DEFAULT_SERVER,
    bpm_range: BpmRange = "",
    local: Local = False,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tell the tempo and the key of songs; with --json, an object a line.

    Each is followed by how sure it is. What is not known is a dash.
    """
    from serve_app.cli import analysis
    from serve_app.cli.progress import Manner
    from serve_app.stems import reports

    manner = Manner(as_json=json, is_quiet=quiet)
    known = reports.bpm_range(bpm_range) if bpm_range else None
    failures = analysis.run(songs, None if local else server, manner, known)
    raise typer.Exit(1 if failures else 0)


@app.command()
def export(
    song: Annotated[
        str, typer.Argument(metavar="JOB", help="Id of a job; with --local a file.")
    ],
    format: Annotated[
        str,
        typer.Option(
            help="rekordbox, cue, mixxx, stem.mp4, stem.mp4-alac or serato.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, or a folder for it.")
    ],
    stems: Annotated[
        Path | None,
        typer.Option(help="With --local: folder of the stems, as OUT/<song>."),
    ] = None,
    server: Server = _DEFAULT_SERVER,
    local: Local = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors only.")
    ] = False,
) -> None:
    """Write a song's grid, key and sections, or its stems, for a DJ program."""
    from serve_app.cli import exporting

    order = exporting.Order(song, format, out, stems)
    exporting.run(order, None if local else server, quiet)


@app.command()
def evaluate(
    dataset: Annotated[
        Path,
        typer.Argument(help="Folder of audio and annotations.", show_default=False),
    ],
    json: AsJson = False,
) -> None:
    """Score the analysis here on songs whose tempo, beats or key are known.

    DATASET is in the layout of GiantSteps tempo or key, Ballroom, GTZAN or tools/music.
    """
    from serve_app.cli import evaluation

    evaluation.run(dataset, as_json=json)


@app.command()
def listen(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port; 0 is any that is free.")
    ] = 8787,
    secret: Annotated[
        str,
        typer.Option(
            envvar="STEMSERVE_WEBHOOK_SECRETS",
            help="What the server signs with (the first one); made when left out.",
        ),
    ] = "",
    answer: Annotated[
        int, typer.Option(min=200, max=599, help="Status to answer with.")
    ] = 204,
) -> None:
    """Show the webhooks that a server on this machine sends, until Ctrl-C."""
    from serve_app.cli import webhook_receiver

    webhook_receiver.run(port, secret, answer)


@app.command()
def settings(
    json: AsJson = False,
    config: Annotated[
        Path | None, typer.Option(help="A Serve config instead of the local one.")
    ] = None,
) -> None:
    """Show every setting, its value, where that is from, and what can set it."""
    from serve_app.cli import configuration

    configuration.show(as_json=json, config=config)
