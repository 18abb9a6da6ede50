"""The audit log: which requests it has, and what of them."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from serve_app.access.audit import LOGGER, Audit, AuditLevel, HttpRequest, configure
from tests.unit.server import Clock

READ = HttpRequest(
    "key:k3x9m2p7q1z8", "acme", "GET", "/jobs", 200, "an-id", "192.0.2.7"
)
CHANGE = replace(READ, method="POST", route="/separate", job="ab" * 16)
REFUSED = replace(READ, status=403)
OF_AN_ADMIN = replace(READ, route="/keys", needs_admin=True)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    found = [each for each in caplog.records if each.name == LOGGER]
    return [json.loads(each.getMessage()) for each in found]


@pytest.fixture(autouse=True)
def _all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)


@pytest.mark.parametrize(
    ("level", "is_open", "written"),
    [
        ("off", False, []),
        ("changes", False, [CHANGE, REFUSED, OF_AN_ADMIN]),
        ("changes", True, []),
        ("all", False, [READ, CHANGE, REFUSED, OF_AN_ADMIN]),
        ("all", True, [READ, CHANGE, REFUSED, OF_AN_ADMIN]),
    ],
)
def test_the_level_selects_the_requests(
    caplog: pytest.LogCaptureFixture,
    level: AuditLevel,
    is_open: bool,
    written: list[HttpRequest],
) -> None:
    audit = Audit(level, Clock())
    for request in (READ, CHANGE, REFUSED, OF_AN_ADMIN):
        audit.request(request, is_open=is_open)
    found = [(line["method"], line["route"], line["status"]) for line in lines(caplog)]
    assert found == [(each.method, each.route, each.status) for each in written]


def test_a_line_says_who_did_what(caplog: pytest.LogCaptureFixture) -> None:
    Audit("changes", Clock()).request(CHANGE, is_open=False)
    assert lines(caplog) == [
        {
            "time": "2026-11-20T12:00:00.000+00:00",
            "event": "request",
            "credential": "key:k3x9m2p7q1z8",
            "tenant": "acme",
            "method": "POST",
            "route": "/separate",
            "status": 200,
            "request": "an-id",
            "client": "192.0.2.7",
            "job": "ab" * 16,
        }
    ]


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refusal_is_an_event_of_its_own(
    caplog: pytest.LogCaptureFixture, status: int
) -> None:
    request = replace(READ, credential="", tenant="", status=status)
    Audit("changes", Clock()).request(request, is_open=False)
    (line,) = lines(caplog)
    assert line["event"] == "request refused"
    assert (line["credential"], line["tenant"]) == (None, None)
    assert "job" not in line


def test_a_command_names_the_user_of_the_machine(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Audit("changes", Clock()).command("key created", user="ada", key_id="k3x9m2p7q1z8")
    Audit("off", Clock()).command("key revoked", user="ada", key_id="k3x9m2p7q1z8")
    (line,) = lines(caplog)
    assert line["event"] == "key created"
    assert (line["credential"], line["key"]) == ("cli:ada", "k3x9m2p7q1z8")


def test_a_line_fits_into_what_a_pipe_writes_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    long = "\U0001f3b5" * 10_000
    request = replace(CHANGE, credential=f"token:{long}", tenant=long[:64])
    Audit("all", Clock()).request(request, is_open=False)
    (record,) = [each for each in caplog.records if each.name == LOGGER]
    assert len(record.getMessage().encode()) < 4096
    assert "\n" not in record.getMessage()


def test_the_log_level_of_the_server_hides_no_line() -> None:
    written: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    logger = logging.getLogger(LOGGER)
    before = (logger.handlers, logger.level, logger.propagate)
    try:
        logging.getLogger("serve_app").setLevel(logging.CRITICAL)
        configure(Kept())
        Audit("changes", Clock()).request(CHANGE, is_open=False)
    finally:
        logging.getLogger("serve_app").setLevel(logging.NOTSET)
        logger.handlers, logger.level, logger.propagate = before
    (line,) = written
    assert json.loads(line)["route"] == "/separate"
