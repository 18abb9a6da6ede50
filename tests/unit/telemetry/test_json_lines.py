"""Log lines as JSON have the fields of the text as keys."""

import json
import logging
import time
from collections.abc import Callable
from logging.handlers import MemoryHandler
from typing import Any

import pytest

from serve_app.telemetry import log_context
from serve_app.telemetry.json_lines import ContextFilter, JsonLines, parsed

PROCESS = {"deployment": "Separator", "replica": "abc"}


class Lines(logging.Handler):
    """Keeps the lines that it would write."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines(PROCESS))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def written(write: Callable[[logging.Logger], None]) -> list[dict[str, Any]]:
    """Return the lines that `write` logs, through a buffer as Serve's."""
    target, logger = Lines(), logging.Logger("serve_app.test")
    buffer = MemoryHandler(100, target=target)
    buffer.addFilter(ContextFilter())
    logger.addHandler(buffer)
    write(logger)
    buffer.flush()
    assert not any("\n" in line for line in target.lines)
    return [json.loads(line) for line in target.lines]


def test_a_line_has_the_event_and_a_key_for_each_field() -> None:
    text = 'song separated job=0f8b name="12\\" Mix.wav" took=17.2s'
    [line] = written(lambda logger: logger.info(text))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "event": "song separated",
        "logger": "serve_app.test",
        **PROCESS,
        "job": "0f8b",
        "name": '12" Mix.wav',
        "took": "17.2s",
    }


def test_lines_of_a_job_have_its_id_and_its_request_when_they_were_logged() -> None:
    def write(logger: logging.Logger) -> None:
        with log_context.bound("a", "r"):
            logger.warning("batch too large windows=%d", 8)
            logger.info("file copied job=b")
        logger.info("idle")

    first, second, third = written(write)
    assert (first["job"], first["request"], first["windows"]) == ("a", "r", "8")
    assert (second["job"], second["request"]) == ("b", "r")
    assert "job" not in third


def test_an_error_has_its_traceback() -> None:
    def write(logger: logging.Logger) -> None:
        try:
            raise RuntimeError("boom")
        except RuntimeError:
            logger.exception("attempt crashed job=a")

    [line] = written(write)
    assert line["event"] == "attempt crashed"
    assert line["traceback"].endswith("RuntimeError: boom")


@pytest.mark.parametrize(
    "text",
    [
        "The service is starting.",
        "access is open: set key=value to close it",
        "a=b",
        'name="unfinished',
        "",
    ],
)
def test_other_text_is_the_event_as_a_whole(text: str) -> None:
    assert parsed(text) == (text, {})


def test_a_field_replaces_none_that_every_line_has() -> None:
    [line] = written(lambda logger: logger.info("odd level=9 time=now event=other"))
    assert (line["level"], line["event"]) == ("INFO", "odd")


def test_long_text_is_read_in_time() -> None:
    text = "x " + " ".join(f'k{number}="a \\" b"' for number in range(10_000)) + " end"
    began_seconds = time.monotonic()
    parsed(text)
    assert time.monotonic() - began_seconds < 2.0
