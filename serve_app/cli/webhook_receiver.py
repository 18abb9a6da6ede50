"""`stemserve listen`: receive webhooks on this machine and print them."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import typer

from serve_app.cli.progress import printable
from serve_app.errors import AppError, InvalidInput
from serve_app.webhooks import signing

# Far more than any webhook has.
_MAX_BODY_BYTES = 4 * 1024**2
_HOST = "127.0.0.1"


def run(port: int, secret: str, answer: int) -> None:
    """Print each webhook sent to `port` and respond with `answer`, until Ctrl-C.

    `secret` may list several, as the server's setting does: the first is used. If it is
    empty, a new one is generated. Raises InvalidInput if it is not valid.
    """
    secret = next(iter(secret.replace(",", " ").split()), "") or signing.new_secret()
    try:
        key = signing.key_of(secret)
    except ValueError as err:
        raise InvalidInput(f"--secret: {err}.") from err
    with _listener(port, key, answer) as server:
        print(
            f"Listening at http://{_HOST}:{server.server_port}/ with the secret\n"
            f"{secret}\n\n"
            "Start the server with these variables, and send songs with this URL as "
            "webhook_url:\n"
            f"export STEMSERVE_WEBHOOK_SECRETS={secret}\n"
            "export STEMSERVE_ALLOW_PRIVATE_WEBHOOKS=true\n",
            flush=True,
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            raise typer.Exit from None


def _listener(port: int, key: bytes, answer: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
                self.send_error(413 if length.isdecimal() else 411)
                return
            body = self.rfile.read(int(length))
            print(_described(self.path, dict(self.headers), body, key), flush=True)
            self.send_response(answer)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            print(printable(format % args), file=sys.stderr)

        def log_request(self, *_: object) -> None:
            pass

    try:
        return ThreadingHTTPServer((_HOST, port), Handler)
    except OSError as err:
        raise AppError(
            f"Can't listen on port {port}: {err.strerror}. Choose another with --port."
        ) from err


def _described(path: str, headers: Mapping[str, str], body: bytes, key: bytes) -> str:
    """Return a request as text, without control characters."""
    now = datetime.now(UTC)
    try:
        signing.verify([key], headers, body, now)
        verdict = "verified"
    except ValueError as err:
        verdict = f"NOT verified: {err}"
    return "\n".join(
        [
            f"{now:%H:%M:%S} POST {printable(urlsplit(path).path)}: {verdict}",
            *(printable(f"  {name}: {value}") for name, value in headers.items()),
            *(printable(f"  {line}") for line in _pretty(body).splitlines()),
            "",
        ]
    )


def _pretty(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode(errors="replace")
