"""docs/client.md: its examples run, and it documents all public names."""

import inspect
import re
from pathlib import Path

import pytest

from serve_app import client
from serve_app.client import Client, RetryPolicy
from tests.unit.client.service import Events, Service, Stem, json_answer

PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
STEMS = {name: Stem(name.encode() * 1_000) for name in ("drums", "vocals")}

# The output of each example, and the files left, in the order of the page.
EXPECTED = [
    ("drums.wav\nvocals.wav\n", ["drums.wav", "song.mp3", "vocals.wav"]),
    ("0%\n100%\nj1\n", ["song.mp3"]),
    ("completed 100%, None s left\ndemo 1.0 ['drums', 'vocals']\n", ["song.mp3"]),
    ("pending 0%\ncompleted 100%\n", ["song.mp3"]),
    ("", ["drums.wav", "song.mp3"]),
    ("completed\n", ["song.mp3"]),
    ("124.0 bpm, C# minor\n", ["song.mp3"]),
    ("missing.mp3 can't be read: No such file or directory.\n", ["song.mp3"]),
    ("", ["song.mp3"]),
    ("", ["drums.wav", "song.mp3", "vocals.wav"]),
]


def test_every_example_is_known() -> None:
    assert len(EXAMPLES) == len(EXPECTED)


@pytest.mark.parametrize("number", range(len(EXPECTED)))
def test_an_example_runs_and_does_what_the_page_says(
    number: int,
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service.complete(STEMS, model="demo")
    found = {"bpm": 124.0, "key": "C# minor", "duration": 2.0, "sample_rate": 44_100}
    service.on("POST", "/analyze", json_answer(found))
    service.on("GET", "/ping", json_answer({}))
    states = [{"status": "pending"}, {"status": "completed", "progress": 100}]
    service.on("GET", "/job/j1/events", Events(states))
    (tmp_path / "song.mp3").write_bytes(b"music")
    monkeypatch.chdir(tmp_path)
    example = EXAMPLES[number].replace(ADDRESS, service.url)
    assert service.url in example
    exec(compile(example, "docs/client.md", "exec"), {"__name__": "example"})  # noqa: S102 - our own page
    printed, files = EXPECTED[number]
    said = list(dict.fromkeys(capsys.readouterr().out.splitlines()))
    assert said == printed.splitlines()
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == files


def test_the_public_names_are_these() -> None:
    assert client.__all__ == [
        *("DEFAULT_URL", "Analysis", "AppError", "Cancelled", "Client"),
        *("InvalidInput", "JobFailed", "Refused", "RemoteJob", "RemoteStem"),
        *("RetryPolicy", "ServerUnreachable", "Ticket", "WaitTimedOut"),
    ]
    assert all(getattr(client, name).__doc__ for name in client.__all__)


@pytest.mark.parametrize("name", client.__all__)
def test_every_public_name_stands_on_the_page(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


def test_every_method_stands_on_the_page_with_its_parameters() -> None:
    methods = inspect.getmembers(Client, inspect.isfunction)
    public = {name: method for name, method in methods if not name.startswith("_")}
    assert len(public) == 11
    for name, method in public.items():
        parameters = ", ".join(list(inspect.signature(method).parameters)[1:])
        assert f"### `{name}({parameters})" in PAGE, name
        assert method.__doc__, name


def test_the_defaults_on_the_page_are_those_of_the_code() -> None:
    for name, value in vars(RetryPolicy()).items():
        assert f"| `{name}` | {value:g} |" in PAGE
    parameters = list(inspect.signature(Client).parameters)
    assert f"`Client({', '.join(parameters)})`" in PAGE
    assert client.DEFAULT_URL == ADDRESS
