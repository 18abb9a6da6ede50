"""Send one request: return its response, or raise a final or a retryable error."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from serve_app.client.errors import Refused, ServerUnreachable
from serve_app.client.retry import TryAgain, retry_after_seconds
from serve_app.errors import InvalidInput

# Sent by a gateway whose server restarts, and by a server that is not ready.
_UNAVAILABLE = (502, 503, 504)


class Credentials:
    """Headers that are sent to one server only, also when redirects are followed.

    This is a request hook of the HTTP client, so it sees each redirected request too.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        for name, value in self._headers.items():
            _check_header(name, value)
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL:
            # The first request reports the invalid URL.
            url = httpx.URL()
        self._origin = _endpoint(url)
        if url.userinfo:
            auth = httpx.BasicAuth(url.username, url.password)
            signed = next(auth.auth_flow(httpx.Request("GET", url)))
            self._headers.setdefault("Authorization", signed.headers["Authorization"])

    def __call__(self, request: httpx.Request) -> None:
        """Add the headers to a request to the server; remove them from any other."""
        is_ours = _endpoint(request.url) == self._origin
        for name, value in self._headers.items():
            request.headers.pop(name, None)
            if is_ours:
                request.headers[name] = value


def _check_header(name: str, value: str) -> None:
    """Raise InvalidInput for a value that can't be sent; it may be secret."""
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise InvalidInput(
            f"The header {name} must be printable ASCII characters, without spaces or "
            "line breaks at its ends. If it has a key from a file, strip its line "
            "break."
        )


def _endpoint(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def built(http: httpx.Client, method: str, url: str, **body: Any) -> httpx.Request:
    """Build a request; raises InvalidInput if `url` is not valid."""
    if not url.lower().startswith(("http://", "https://")):
        raise InvalidInput(
            f"{_server(url)!r} is not a valid server address. It must start with "
            "http:// or https://, as in http://localhost:8000."
        )
    try:
        return http.build_request(method, url, **body)
    except (httpx.InvalidURL, UnicodeError) as err:
        raise InvalidInput(
            f"{_server(url)!r} is not a valid server address: {err}."
        ) from err


def _server(url: str) -> str:
    """Return the part of a URL before its path."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.partition('/')[0]}"


@contextmanager
def sent(
    http: httpx.Client, request: httpx.Request, follow_redirects: bool = False
) -> Iterator[httpx.Response]:
    """Send a request and yield its response, before the body is read.

    Raises TryAgain for the statuses 5xx and 429, and for network errors, also those
    while the body is read in the block; raises Refused for other error statuses.
    """
    try:
        response = http.send(request, stream=True, follow_redirects=follow_redirects)
        try:
            _check(response)
            yield response
        finally:
            response.close()
    except httpx.RequestError as err:
        reason = str(err) or type(err).__name__
        raise TryAgain(
            ServerUnreachable(
                f"{_origin(request.url)} is unreachable ({reason}). Check the address "
                "and that the server is running, then try again."
            ),
            is_unavailable=True,
        ) from err


def read_object(response: httpx.Response) -> Mapping[str, Any]:
    """Return the JSON object in a response; raises Refused if there is none."""
    response.read()
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise unexpected(response)
    return found


def unexpected(response: httpx.Response) -> Refused:
    """Return the error for a response that no stemserve server would send."""
    return Refused(
        f"{_origin(response.url)} sent an unexpected response. Check that this is the "
        "address of a stemserve server.",
        response.status_code,
    )


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    response.read()
    refused = _refusal(response)
    if response.status_code >= 500 or response.status_code == 429:
        after = response.headers.get("Retry-After")
        raise TryAgain(
            refused,
            retry_after_seconds(after, datetime.now(UTC)),
            is_unavailable=response.status_code in _UNAVAILABLE,
        )
    raise refused


def _refusal(response: httpx.Response) -> Refused:
    """Return the error that the response describes (RFC 9457), or a generic one."""
    status = response.status_code
    if response.has_redirect_location:
        address = response.headers["Location"]
        return Refused(f"The server redirects to {address}. Use that address.", status)
    try:
        problem = response.json()
    except ValueError:
        problem = None
    problem = problem if isinstance(problem, dict) else {}
    detail, code = problem.get("detail"), problem.get("code")
    if not isinstance(detail, str) or not detail:
        detail = f"{response.url} responded {status} {response.reason_phrase}."
    return Refused(detail, status, code if isinstance(code, str) else None)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
