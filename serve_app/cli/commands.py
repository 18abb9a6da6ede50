"""The commands of `stemserve` and their options."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from serve_app.cli import (
    key_commands,
    library_commands,
    model_commands,
    storage_commands,
    usage_command,
)
from serve_app.errors import AppError
from serve_app.stems.options import BPM_RANGE, FORMAT, MODEL, PRIORITY, STEMS, Option

_DEFAULT_SERVER = "http://127.0.0.1:8000"
# The exit status that shells report for a program ended by SIGINT.
_INTERRUPTED = 130


class _Commands(TyperGroup):
    """Commands that print errors in one line, without a traceback."""

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
    help="Separate songs into stems and analyse them.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(key_commands.app, name="keys")
app.add_typer(library_commands.app, name="library")
app.add_typer(model_commands.app, name="models")
app.add_typer(storage_commands.app, name="storage")
app.command("usage")(usage_command.usage)


def _flag(option: Option) -> Any:
    return typer.Option(f"--{option.name.replace('_', '-')}", help=option.help)


Songs = Annotated[
    list[Path],
    typer.Argument(metavar="SONG...", help="Audio or video files, or folders of them."),
]
Server = Annotated[str, typer.Option(envvar="STEMSERVE_URL", help="URL of the server.")]
Local = Annotated[
    bool, typer.Option("--local", help="Run on this machine, without a server.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Hide the progress and the summary.")
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
        typer.Option(help="Address to listen on; 0.0.0.0 is all addresses."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on.")
    ] = 8000,
    config: Annotated[
        Path | None, typer.Option(help="Serve config to use instead of the local one.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            help="Port of 127.0.0.1 on which Ray exports metrics for Prometheus. "
            "Default: it exports none.",
        ),
    ] = None,
) -> None:
    """Run the server on this machine until Ctrl-C."""
    from serve_app.cli import server

    server.become(host, port, config, metrics_port)


@app.command()
def stream(
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 is all addresses."),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Port to listen on. Default: STEMSERVE_ARCHIVE_PORT.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Serve config to use instead of the local one.")
    ] = None,
) -> None:
    """Stream the archive's media from this machine until Ctrl-C.

    `stemserve serve` starts this process if the archive runs.
    """
    from serve_app.cli import stream

    stream.run(host, port, config)


@app.command()
def check(
    configs: Annotated[
        list[Path],
        typer.Argument(
            metavar="CONFIG...",
            help="Serve configs or Kubernetes manifests; - reads standard input.",
        ),
    ],
) -> None:
    """Find the faults of Serve configs and RayService manifests before deploying them.

    Each is a line with its file and line number. Modules that a config names are
    imported.

    The exit status is 0 if there is none, 1 if there are some, and 2 if a file can't
    be read or is neither.
    """
    from serve_app.cli import checking

    raise typer.Exit(checking.run(configs))


@app.command()
def separate(
    songs: Songs,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for the stems: OUT/<song>/<stem>."),
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

    With --json, each song is printed when it ends, as a JSON object on its own line:
    song, files, model, gain, duration and seconds, or song and error.

    The exit status is 0 if all songs were separated, else 1.
    """
    from serve_app.cli import separation
    from serve_app.cli.progress import OutputMode
    from serve_app.cli.work import SeparateOptions

    options = SeparateOptions(
        model=model,
        stems=stems,
        format=format,
        priority=priority,
        bpm_range=bpm_range,
    )
    mode = OutputMode(as_json=json, is_quiet=quiet)
    failures = separation.run(songs, out, options, None if local else server, mode)
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
    """Print the tempo and the key of songs.

    Each value is followed by its confidence; unknown values are a dash. With --json,
    each song is a JSON object on its own line.
    """
    from serve_app.cli import analysis
    from serve_app.cli.progress import OutputMode
    from serve_app.stems import reports

    mode = OutputMode(as_json=json, is_quiet=quiet)
    known = reports.bpm_range(bpm_range) if bpm_range else None
    failures = analysis.run(songs, None if local else server, mode, known)
    raise typer.Exit(1 if failures else 0)


@app.command()
def export(
    song: Annotated[
        str, typer.Argument(metavar="JOB", help="Id of a job; with --local, a file.")
    ],
    format: Annotated[
        str,
        typer.Option(
            help="Format: rekordbox, cue, mixxx, stem.mp4, stem.mp4-alac or serato.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, or its folder.")
    ],
    stems: Annotated[
        Path | None,
        typer.Option(help="With --local: folder of the stems, OUT/<song>."),
    ] = None,
    server: Server = _DEFAULT_SERVER,
    local: Local = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors only.")
    ] = False,
) -> None:
    """Export a song's beat grid, key and sections, or its stems, for a DJ program."""
    from serve_app.cli import exporting

    options = exporting.ExportOptions(song, format, out, stems)
    exporting.run(options, None if local else server, quiet)


@app.command()
def evaluate(
    dataset: Annotated[
        Path,
        typer.Argument(help="Folder with audio and annotations.", show_default=False),
    ],
    json: AsJson = False,
) -> None:
    """Analyse a dataset locally and score the results against its annotations.

    DATASET must have the layout of GiantSteps tempo or key, Ballroom, GTZAN or
    tools/music.
    """
    from serve_app.cli import evaluation

    evaluation.run(dataset, as_json=json)


@app.command()
def listen(
    port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Port to listen on; 0 is any free one."),
    ] = 8787,
    secret: Annotated[
        str,
        typer.Option(
            envvar="STEMSERVE_WEBHOOK_SECRETS",
            help="Secret that the server signs with; default: a new one. "
            "Of several, the first is used.",
        ),
    ] = "",
    answer: Annotated[
        int, typer.Option(min=200, max=599, help="Status of the responses.")
    ] = 204,
) -> None:
    """Show the webhooks that a server on this machine sends, until Ctrl-C."""
    from serve_app.cli import webhook_receiver

    webhook_receiver.run(port, secret, answer)


@app.command()
def settings(
    json: AsJson = False,
    config: Annotated[
        Path | None, typer.Option(help="Serve config to use instead of the local one.")
    ] = None,
) -> None:
    """Show every setting: its value, the source of the value, and its variables."""
    from serve_app.cli import configuration

    configuration.show(as_json=json, config=config)
