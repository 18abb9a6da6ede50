"""Objects that are forbidden, and credentials that are wrong, are told apart."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serve_app.errors import StorageUnavailable
from serve_app.storage.addresses import Bucket
from serve_app.storage.s3_objects import S3Objects


class Refusing:
    """A store that answers everything with 403, and to GET with a code too."""

    def __init__(self) -> None:
        self.code = "AccessDenied"
        store = self

        class Handler(BaseHTTPRequestHandler):
            def _refuse(self) -> None:
                body = f"<Error><Code>{store.code}</Code></Error>".encode()
                self.send_response(403)
                self.send_header("content-type", "application/xml")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_DELETE = _refuse

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def store() -> Iterator[Refusing]:
    found = Refusing()
    yield found
    found.close()


@pytest.fixture
def objects(store: Refusing, monkeypatch: pytest.MonkeyPatch) -> S3Objects:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return S3Objects(Bucket("files", endpoint_url=store.url, region="eu-west-1"))


def test_an_object_without_access_is_forbidden(objects: S3Objects) -> None:
    with pytest.raises(PermissionError):
        objects.stat("a.wav")
    with pytest.raises(PermissionError):
        list(objects.read("a.wav"))
    objects.probe()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("InvalidAccessKeyId", "the access key is unknown"),
        ("ExpiredToken", "the credentials have expired"),
        ("SignatureDoesNotMatch", "the secret key is wrong"),
    ],
)
def test_wrong_credentials_are_no_matter_of_one_object(
    store: Refusing, objects: S3Objects, code: str, said: str
) -> None:
    store.code = code
    with pytest.raises(StorageUnavailable, match=said):
        objects.stat("a.wav")
    with pytest.raises(StorageUnavailable, match=said):
        list(objects.read("a.wav"))
    with pytest.raises(StorageUnavailable, match=said):
        objects.probe()
