"""Each option is described once: the parsers, OpenAPI, flags and documents agree."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.errors import InvalidField
from serve_app.stems.http import form_options, json_body
from serve_app.stems.options import (
    ANALYZE,
    MODEL,
    SEPARATE,
    STEMS,
    WEBHOOK_EVENTS,
    WEBHOOK_URL,
    Option,
    names,
)
from serve_app.stems.request import Options
from tests.unit.server import INFOS, Server

pytestmark = pytest.mark.usefixtures("anyio_backend")

ROOT = Path(__file__).parents[3]
ROUTES = {"/separate": SEPARATE, "/analyze": ANALYZE}
# The command line waits for its jobs itself.
WITHOUT_FLAG = (WEBHOOK_URL, WEBHOOK_EVENTS)
FLAGS = [
    (route.removeprefix("/"), option)
    for route, options in ROUTES.items()
    for option in options
    if option not in WITHOUT_FLAG
]
FORM, JSON = "multipart/form-data", "application/json"


def in_each_route(names: Sequence[str] = (FORM, JSON)) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("route", "kind", "option"),
        [
            (route, kind, option)
            for route, options in ROUTES.items()
            for kind in names
            for option in options
        ],
        ids=lambda each: each.name if isinstance(each, Option) else each,
    )


async def schema(client: httpx.AsyncClient, route: str, kind: str) -> Any:
    description = (await client.get("/openapi.json")).json()
    body = description["paths"][route]["post"]["requestBody"]
    return body["content"][kind]["schema"]


@in_each_route()
async def test_openapi_has_the_option_with_all_that_is_said_of_it(
    server: Server, route: str, kind: str, option: Option
) -> None:
    found = (await schema(server.client, route, kind))["properties"][option.name]
    assert found["description"].startswith(option.description)
    value = found["items"] if option.is_list else found
    assert value["type"] == "string"
    assert tuple(value.get("enum", ())) == option.choices
    assert found["default"] == ([] if option.is_list else option.default)


@pytest.mark.parametrize("route", ROUTES)
async def test_openapi_has_these_options_and_no_others(
    server: Server, route: str
) -> None:
    fields = names(ROUTES[route])
    form = await schema(server.client, route, FORM)
    by_reference = await schema(server.client, route, JSON)
    assert tuple(form["properties"]) == ("file", *fields)
    assert tuple(by_reference["properties"]) == (
        *("url", "upload_id", "filename"),
        *fields,
    )
    assert form["additionalProperties"] is True
    assert by_reference["additionalProperties"] is False


@pytest.mark.parametrize("route", ROUTES)
async def test_the_route_reads_these_options_and_ignores_others(
    server: Server, song: bytes, route: str
) -> None:
    answer = await server.client.post(
        route,
        files={"file": ("song.wav", song)},
        data={**dict.fromkeys(names(ROUTES[route]), ""), "colour": "red"},
    )
    assert answer.status_code == 200
    assert answer.json()["ignored_fields"] == ["colour"]


def chosen(*options: Option, text: str | None = None) -> Options:
    fields = [
        (option.name, option.example if text is None else text) for option in options
    ]
    return form_options.choose(fields, INFOS, "demo")


@pytest.mark.parametrize("option", SEPARATE, ids=lambda option: option.name)
def test_the_example_is_accepted_and_an_empty_value_is_the_default(
    option: Option,
) -> None:
    assert option.values([(option.name, option.example)])
    assert option.values([(option.name, " ")]) == []
    assert option.value([]) == option.default
    assert chosen(option, text="") == chosen(option, text=option.default) == chosen()
    if option.name in Options.__dataclass_fields__ and option.example != option.default:
        assert chosen(option) != chosen()


def test_the_examples_of_a_webhook_are_accepted() -> None:
    fields = [(option.name, option.example) for option in WITHOUT_FLAG]
    webhook = form_options.webhook(fields, lambda _: None)
    assert webhook is not None
    assert webhook.url == WEBHOOK_URL.example
    assert ",".join(webhook.events) == WEBHOOK_EVENTS.example


@pytest.mark.parametrize(
    "option",
    [option for option in SEPARATE if option.choices],
    ids=lambda option: option.name,
)
def test_each_choice_is_accepted_and_another_value_is_refused(option: Option) -> None:
    for choice in option.choices:
        assert option.values([(option.name, choice.upper())]) == [choice]
    with pytest.raises(InvalidField) as caught:
        option.values([(option.name, "nope")])
    assert caught.value.field == option.name
    assert caught.value.detail == (
        f"\"{option.name}\" must be one of {', '.join(option.choices)}; got 'nope'."
    )


@pytest.mark.parametrize("option", SEPARATE, ids=lambda option: option.name)
def test_only_a_list_takes_several_values(option: Option) -> None:
    several = [(option.name, text) for text in option.choices[:2] or ("1-2", "3-4")]
    if option.is_list:
        assert len(option.values(several)) == 2
        return
    with pytest.raises(InvalidField, match=f'"{option.name}" must be one value, got 2'):
        option.values(several)


def test_values_are_split_at_commas_except_in_a_url() -> None:
    fields = [("stems", " Drums, BASS"), ("stems", "bass,,other"), ("model", "x")]
    assert STEMS.values(fields) == ["drums", "bass", "other"]
    assert MODEL.values(fields) == ["x"]
    url = "https://example.com/Hook?a=1,2"
    assert WEBHOOK_URL.values([("webhook_url", f" {url} ")]) == [url]


@pytest.mark.parametrize("option", json_body.REFERENCE, ids=lambda option: option.name)
def test_the_examples_of_a_reference_are_accepted(option: Option) -> None:
    song = {"url": json_body.URL.example} if option is json_body.FILENAME else {}
    body = httpx.Request("POST", "http://x", json={**song, option.name: option.example})
    found = json_body.parsed(body.content, ())
    assert getattr(found, option.name) == option.example


@pytest.mark.parametrize(("command", "option"), FLAGS)
def test_the_command_line_has_a_flag_with_the_same_words(
    command: str, option: Option
) -> None:
    commands: Any = typer.main.get_command(app)
    flags = {
        flag: each for each in commands.commands[command].params for flag in each.opts
    }
    flag = f"--{option.name.replace('_', '-')}"
    assert flags[flag].name == option.name
    assert flags[flag].help == option.help
    assert option.description in option.help
    assert all(choice in option.help for choice in (*option.choices, option.default))
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "400"}).stdout
    assert flag in shown
    assert option.help in shown


@pytest.mark.parametrize("option", SEPARATE, ids=lambda option: option.name)
def test_the_readme_names_the_option(option: Option) -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith("| `POST /separate`"))
    assert f"`{option.name}`" in row
    assert all(f"`{name}`" in row for name in option.choices if option.name == "format")


def test_the_clients_documentation_lists_these_options() -> None:
    text = (ROOT / "docs" / "client.md").read_text()
    (listed,) = re.findall(r"are the fields of\s.*?as strings: (.*?)\.\s", text, re.S)
    assert tuple(re.findall(r"`(\w+)`", listed)) == names(SEPARATE)
