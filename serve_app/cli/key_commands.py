"""The commands of `stemserve keys`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Create, list, rotate and revoke API keys, in the server's database.",
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Config = Annotated[
    Path | None, typer.Option(help="Serve config to use instead of the local one.")
]
KeyId = Annotated[
    str, typer.Argument(metavar="ID", help="Id of a key, from `stemserve keys list`.")
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, such as dj-app.")],
    tenant: Annotated[
        str,
        typer.Option(
            help="Owner of the jobs; default: NAME. '*' acts for the tenant that a "
            "gateway names."
        ),
    ] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What the key allows: admin, or SYSTEM:VERB such as stems:read. Can "
            "be given several times. Default: *:*, everything but admin."
        ),
    ] = None,
    expires_in_days: Annotated[
        float | None, typer.Option(min=0, help="Days until it expires; default: never.")
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    jobs_at_once: Annotated[int | None, typer.Option(min=1)] = None,
    jobs_queued: Annotated[int | None, typer.Option(min=1)] = None,
    audio_minutes_per_day: Annotated[float | None, typer.Option(min=0)] = None,
    stored_bytes: Annotated[int | None, typer.Option(min=1)] = None,
    json: AsJson = False,
    config: Config = None,
) -> None:
    """Create a key and print it. It can't be shown again."""
    from serve_app.cli import keys

    quotas = {
        "requests_per_minute": requests_per_minute,
        "jobs_at_once": jobs_at_once,
        "jobs_queued": jobs_queued,
        "audio_minutes_per_day": audio_minutes_per_day,
        "stored_bytes": stored_bytes,
    }
    given = {
        "name": name,
        "tenant": tenant or None,
        "scopes": scope or ["*:*"],
        "quotas": {key: value for key, value in quotas.items() if value is not None},
    }
    keys.create(given, expires_in_days, config, as_json=json)


@app.command("list")
def list_keys(json: AsJson = False, config: Config = None) -> None:
    """List all keys, also those that were revoked or have expired."""
    from serve_app.cli import keys

    keys.show(config, as_json=json)


@app.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, help="Hours for which the old key stays valid.")
    ] = 24.0,
    json: AsJson = False,
    config: Config = None,
) -> None:
    """Replace a key by one with the same properties, and print that."""
    from serve_app.cli import keys

    keys.rotate(key_id, overlap_hours * 3600, config, as_json=json)


@app.command()
def revoke(key_id: KeyId, json: AsJson = False, config: Config = None) -> None:
    """Revoke a key: within five seconds every server refuses it."""
    from serve_app.cli import keys

    keys.revoke(key_id, config, as_json=json)
