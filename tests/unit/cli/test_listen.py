"""`stemserve listen` prints webhooks, and whether their signature is valid."""

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.error import HTTPError

import pytest
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.webhooks import signing

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published one
BODY = '{"type":"job.completed","data":{"filename":"Söng.wav"}}'.encode()


@dataclass
class Listener:
    process: subprocess.Popen[str]
    url: str
    secret: str

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        request = urllib.request.Request(  # noqa: S310 - it is http
            self.url, body, dict(headers), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as err:
            err.close()
            return err.code

    def signed(self, body: bytes) -> dict[str, str]:
        key = signing.key_of(self.secret)
        return signing.headers([key], "msg_1", body, datetime.now(UTC))

    def shown(self) -> str:
        """Read its output about one request."""
        assert self.process.stdout is not None
        return "".join(iter(self.process.stdout.readline, "\n"))


def begun(*options: str) -> Listener:
    command = [sys.executable, "-m", "serve_app.cli", "listen", "--port", "0"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, encoding="utf-8"
    )
    listener = Listener(process, "", "")
    said = listener.shown() + listener.shown()
    listener.url = re.findall(r"http://127\.0\.0\.1:\d+/", said)[0]
    assert "STEMSERVE_ALLOW_PRIVATE_WEBHOOKS=true" in said
    listener.secret = re.findall(r"STEMSERVE_WEBHOOK_SECRETS=(\S+)", said)[0]
    return listener


def end(listener: Listener) -> int:
    listener.process.send_signal(signal.SIGINT)
    code = listener.process.wait(20)
    assert listener.process.stdout is not None
    listener.process.stdout.close()
    return code


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = begun()
    yield listener
    assert end(listener) == 0


def test_a_signed_webhook_is_shown_and_verified(listener: Listener) -> None:
    assert listener.post(BODY, listener.signed(BODY)) == 204
    said = listener.shown()
    assert "POST /: verified" in said
    assert "webhook-id: msg_1" in said.lower()
    assert '"filename": "Söng.wav"' in said


def test_one_that_was_changed_is_shown_as_such(listener: Listener) -> None:
    assert listener.post(BODY + b" ", listener.signed(BODY)) == 204
    assert "NOT verified: it is not signed with this secret" in listener.shown()
    assert listener.post(b"\x1b[2J no JSON \xff", {}) == 204
    said = listener.shown()
    assert "NOT verified: it has no webhook-id" in said
    assert "no JSON" in said
    assert "\x1b" not in said


def test_a_body_too_large_is_refused(listener: Listener) -> None:
    assert listener.post(b"", {"Content-Length": str(10**10)}) == 413


def test_it_answers_as_it_is_told_and_with_the_secret_it_is_given() -> None:
    listener = begun("--secret", SECRET, "--answer", "410")
    assert listener.secret == SECRET
    assert listener.post(BODY, listener.signed(BODY)) == 410
    end(listener)


def test_it_takes_the_secret_that_the_server_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_WEBHOOK_SECRETS", f"{SECRET},{signing.new_secret()}")
    listener = begun()
    assert listener.secret == SECRET
    assert listener.post(BODY, listener.signed(BODY)) == 204
    assert "POST /: verified" in listener.shown()
    end(listener)


def test_what_is_no_secret_is_refused() -> None:
    result = CliRunner().invoke(app, ["listen", "--secret", "hunter2"])
    assert result.exit_code == 1
    assert "whsec_" in result.stderr


def test_a_port_that_is_taken_is_told(listener: Listener) -> None:
    port = listener.url.split(":")[2].strip("/")
    result = CliRunner().invoke(app, ["listen", "--port", port])
    assert result.exit_code == 1
    assert f"Can't listen on port {port}: " in result.stderr
