"""The line that the deploy script writes to the front end's settings."""

from pathlib import Path

import pytest

from tests.hub import TOKEN, Hub
from tests.unit.scripts.conftest import load

LINE = b"VITE_CLOUD_ENGINE_URL=https://me-space.hf.space"

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", LINE + b"\n"),
        (b"A=1\n", b"A=1\n" + LINE + b"\n"),
        (b"A=1", b"A=1\n" + LINE + b"\n"),
        (b"A=1\r\nB=2\r\n", b"A=1\r\nB=2\r\n" + LINE + b"\r\n"),
        (b"A=1\r\nB=2", b"A=1\r\nB=2\r\n" + LINE + b"\r\n"),
        (BOM, BOM + LINE + b"\n"),
        (b"\n\n", b"\n\n" + LINE + b"\n"),
        (b"VITE_CLOUD_ENGINE_URL=http://old", LINE),
        (b"VITE_CLOUD_ENGINE_URL=\n", LINE + b"\n"),
        (b"VITE_CLOUD_ENGINE_URL=old\r\nA=1\r\n", LINE + b"\r\nA=1\r\n"),
        (b"A=1\n  VITE_CLOUD_ENGINE_URL = 'old' # x\nB", b"A=1\n" + LINE + b"\nB"),
        (BOM + b"VITE_CLOUD_ENGINE_URL=old\nA=1", BOM + LINE + b"\nA=1"),
        (
            b"VITE_CLOUD_ENGINE_URL=1\nVITE_CLOUD_ENGINE_URL=2\n",
            LINE + b"\nVITE_CLOUD_ENGINE_URL=2\n",
        ),
    ],
)
def test_the_line_stands_over_the_first_such_line_else_at_the_end(
    app: Path, before: bytes, after: bytes
) -> None:
    assert load(app).with_line(before, LINE) == after


@pytest.mark.parametrize(
    "other",
    [
        b"# VITE_CLOUD_ENGINE_URL=http://old\n",
        b"VITE_CLOUD_ENGINE_URL_2=http://old\n",
        b"MY_VITE_CLOUD_ENGINE_URL=http://old\n",
        b"vite_cloud_engine_url=http://old\n",
        b"  spaces = kept  \t\n\n\x00\xff not UTF-8\n",
    ],
)
def test_all_other_lines_stay_byte_for_byte(app: Path, other: bytes) -> None:
    assert load(app).with_line(other, LINE) == other + LINE + b"\n"


def deploy(app: Path) -> int:
    arguments = ["--space-id", "me/space", "--token", TOKEN]
    return int(load(app).main(arguments))


def test_a_link_stays_a_link(app: Path, hub: Hub) -> None:
    target = app / "settings.txt"
    target.write_bytes(b"A=1\n")
    (app / ".env.local").symlink_to(target)
    assert deploy(app) == 0
    assert (app / ".env.local").is_symlink()
    assert target.read_bytes() == b"A=1\n" + LINE + b"\n"


def test_settings_that_can_not_be_written_exit_with_1_and_the_line_to_add(
    app: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    (app / ".env.local").mkdir()
    assert deploy(app) == 1
    said = capsys.readouterr().err
    assert f"The Space is deployed, but {app / '.env.local'} can't be written" in said
    assert LINE.decode() in said
    assert hub.spaces["me/space"].commits == 1
