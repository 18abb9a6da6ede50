"""The connection to a dataset repository of the Hugging Face Hub."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import httpx2
from huggingface_hub import HfApi, constants, errors, set_client_factory
from huggingface_hub.utils.tqdm import disable_progress_bars

from serve_app.errors import StorageUnavailable
from serve_app.storage import addresses

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
_TIMEOUT_SECONDS = 60.0
# The limit on consecutive interruptions of a download, each of which is resumed.
_MOST_CUTS = 5
# Retries of the library wait as long as the Hub asks. Sweeps can wait longer.
_LONGEST_WAIT_SECONDS = 10
# Commits at the same time refuse each other, with these statuses.
_CONFLICTS = (409, 412)
_OK, _PARTIAL, _NOT_FOUND, _NO_SUCH_RANGE, _TOO_MANY = 200, 206, 404, 416, 429
_REASONS = {
    401: "the token is not valid",
    402: "the account needs a payment",
    403: "the token has no access to {repository}, or it is full",
    404: "there is no {repository}, or the token has no access",
    413: "the file is too large for the Hub",
    429: "the Hub asks for fewer requests",
}


class RepositoryMissing(StorageUnavailable):
    """There is no such repository yet."""


class CommitConflict(StorageUnavailable):
    """Another commit came between; the same one can be tried again."""


@dataclass(frozen=True)
class HubRepository:
    """A dataset repository `user/name`, and a token that may write to it.

    The default endpoint is `HF_ENDPOINT`, or the public Hub.
    """

    id: str
    token: str = field(repr=False)
    endpoint: str = field(default_factory=addresses.hub_endpoint)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that files come from: the Hub's own, and those of its CDN."""
        return addresses.hub_hosts(self.endpoint)

    @property
    def base_url(self) -> str:
        """The beginning of the URLs of files."""
        return f"{self.endpoint.rstrip('/')}/datasets/{self.id}/resolve/main/"

    def url(self, key: str) -> str:
        """Return the URL of a file, which needs no token if the dataset is public."""
        return f"{self.base_url}{key}"


class HubConnection:
    """A repository, the library's client `api`, and a client for downloads.

    Errors are translated by `translated`.
    """

    def __init__(self, repository: HubRepository) -> None:
        self.repository = repository
        _prepare_library()
        self.api = HfApi(
            endpoint=repository.endpoint.rstrip("/"), token=repository.token
        )
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {repository.token}"},
            # A token is not sent on to the Hub's CDN, which is another host.
            follow_redirects=True,
            timeout=_TIMEOUT_SECONDS,
            # Every reader has a connection of its own.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
        )

    def close(self) -> None:
        """Close the connections of downloads."""
        self._client.close()

    def get(self, key: str, start: int, end: int | None) -> httpx.Response | None:
        """Start to read the bytes [start, end), or more; None if it has no such bytes.

        Raises FileNotFoundError.
        """
        headers = {"Accept-Encoding": "identity"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        url = self.repository.url(key)
        with self._translated_download():
            request = self._client.build_request("GET", url, headers=headers)
            response = self._client.send(request, stream=True)
        if response.status_code in (_OK, _PARTIAL):
            return response
        response.close()
        if response.status_code == _NO_SUCH_RANGE:
            return None
        if response.status_code == _NOT_FOUND:
            raise FileNotFoundError(2, "there is no such file", key)
        raise self.unavailable(response.status_code)

    def chunks(
        self, key: str, response: httpx.Response, start: int, end: int | None
    ) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `response`; resume if it is interrupted."""
        cuts = 0
        while True:
            try:
                for chunk in _body(response, start, end):
                    start += len(chunk)
                    cuts = 0
                    yield chunk
                return
            except httpx.TransportError as err:
                cuts += 1
                if cuts > _MOST_CUTS:
                    raise self._unreachable(err) from err
                logger.warning(
                    "storage read resumed key=%s byte=%d error=%s",
                    *(key, start, json.dumps(str(err))),
                )
            response = self._again(key, response, start, end)

    def _again(
        self, key: str, before: httpx.Response, start: int, end: int | None
    ) -> httpx.Response:
        """Return the rest of the same version of a file."""
        response = self.get(key, start, end)
        if response is not None and _version(response) == _version(before):
            return response
        if response is not None:
            response.close()
        raise StorageUnavailable(f"The file {key} was replaced while it was read.")

    @contextmanager
    def translated(self, key: str) -> Iterator[None]:
        """Translate the errors of the library in a request for `key`.

        Raises FileNotFoundError, RepositoryMissing, and StorageUnavailable.
        """
        try:
            yield
        except StorageUnavailable:
            raise
        except errors.EntryNotFoundError as err:
            raise FileNotFoundError(2, "there is no such file", key) from err
        # RuntimeError wraps the errors of uploads, and tells of a closed client.
        except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as err:
            cause = err.__cause__ if isinstance(err, RuntimeError) else err
            if isinstance(cause, StorageUnavailable):
                raise cause from err
            if not isinstance(cause, errors.HfHubHTTPError):
                raise self._unreachable(cause or err) from err
            status = cause.response.status_code
            if status == _NOT_FOUND and isinstance(
                cause, errors.RepositoryNotFoundError
            ):
                raise RepositoryMissing(self._reason(status)) from err
            if status in _CONFLICTS:
                raise CommitConflict(self._reason(status)) from err
            raise self.unavailable(status) from err

    def unavailable(self, status: int) -> StorageUnavailable:
        """Return the error for a status of the Hub."""
        return StorageUnavailable(self._reason(status))

    def _reason(self, status: int) -> str:
        reason = _REASONS.get(status, f"the Hub responded with status {status}")
        reason = reason.format(repository=f"the dataset {self.repository.id}")
        return f"The file storage is unavailable ({reason}). Try again later."

    def _unreachable(self, err: BaseException) -> StorageUnavailable:
        return StorageUnavailable(
            f"The file storage is unavailable ({self.repository.endpoint}: "
            f"{type(err).__name__}). Try again later."
        )

    @contextmanager
    def _translated_download(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as err:
            raise self._unreachable(err) from err


def _version(response: httpx.Response) -> str | None:
    tag: str | None = response.headers.get("ETag")
    return tag


def _body(response: httpx.Response, start: int, end: int | None) -> Iterator[bytes]:
    """Yield the bytes [start, end) of a file, even if the response has the whole."""
    skipped = start if response.status_code == _OK else 0
    left = None if end is None else end - start
    with closing(response):
        for chunk in response.iter_raw(CHUNK_BYTES):
            wanted = (
                chunk[skipped:] if left is None else chunk[skipped : skipped + left]
            )
            skipped = max(0, skipped - len(chunk))
            left = None if left is None else left - len(wanted)
            if wanted:
                yield wanted
            if left == 0:
                return


def _prepare_library() -> None:
    """Set up the library, for the whole process: stores are opened when it starts.

    Its HTTP client waits without limit by default, and so does its own protocol for
    uploads.
    """
    constants.HF_HUB_DISABLE_XET = True
    disable_progress_bars()
    set_client_factory(
        lambda: httpx2.Client(
            follow_redirects=True,
            timeout=_TIMEOUT_SECONDS,
            event_hooks={"response": [_refuse_to_wait]},
        )
    )


def _refuse_to_wait(response: httpx2.Response) -> None:
    """Raise StorageUnavailable rather than let the library wait for long."""
    wait_seconds = 0.0
    with suppress(ValueError):
        wait_seconds = float(response.headers.get("Retry-After", ""))
    if response.status_code == _TOO_MANY or wait_seconds > _LONGEST_WAIT_SECONDS:
        raise StorageUnavailable(
            f"The file storage is unavailable (the Hub responded with status "
            f"{response.status_code}, and asks for time). Try again later."
        )
