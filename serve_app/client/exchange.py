"""Requests: what comes back is an answer, something final, or a reason to try again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from serve_app.client.errors import Refused, ServerUnreachable
from serve_app.client.retry import TryAgain, retry_after_seconds
from serve_app.errors import InvalidInput

# What a gateway answers for a server that restarts, and a server that is not ready.
_AWAY = (502, 503, 504)


class Credentials:
    """Headers for one server, kept from every other host, redirects included.

    A hook of the HTTP client: it sees each request, those that follow redirects too.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL:
            # It is reported with the first request.
            url = httpx.URL()
        self._origin = _endpoint(url)
        if url.userinfo:
            auth = httpx.BasicAuth(url.username, url.password)
            signed = next(auth.auth_flow(httpx.Request("GET", url)))
            self._headers.setdefault("Authorization", signed.headers["Authorization"])

    def __call__(self, request: httpx.Request) -> None:
        """Add the headers to a request to the server, take them from any other."""
        is_ours = _endpoint(request.url) == self._origin
        for name, value in self._headers.items():
            request.headers.pop(name, None)
            if is_ours:
                request.headers[name] = value


def _endpoint(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def built(http: httpx.Client, method: str, url: str, **body: Any) -> httpx.Request:
    """Make a request; InvalidInput if its address is none."""
    if not url.lower().startswith(("http://", "https://")):
        raise InvalidInput(
            f"{url} is no address of a server: it must begin with http:// or https://, "
            "as in http://localhost:8000."
        )
    try:
        return http.build_request(method, url, **body)
    except (httpx.InvalidURL, UnicodeError) as err:
        raise InvalidInput(f"{url} is no address of a server: {err}.") from err


@contextmanager
def sent(
    http: httpx.Client, request: httpx.Request, follow_redirects: bool = False
) -> Iterator[httpx.Response]:
    """Send a request and give its answer, whose body has not been read yet.

    Network errors, also those while the body is read, 5xx and 429 raise TryAgain,
    other errors of the server Refused, an address that is none InvalidInput.
    """
    try:
        answer = http.send(request, stream=True, follow_redirects=follow_redirects)
        try:
            _check(answer)
            yield answer
        finally:
            answer.close()
    except httpx.RequestError as err:
        reason = str(err) or type(err).__name__
        raise TryAgain(
            ServerUnreachable(
                f"{_origin(request.url)} does not answer ({reason}). Check the address "
                "and that the server runs, then try again."
            ),
            is_away=True,
        ) from err


def read_object(answer: httpx.Response) -> Mapping[str, Any]:
    """Return the JSON object that a server answered; Refused if it is none."""
    answer.read()
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise not_understood(answer)
    return found


def not_understood(answer: httpx.Response) -> Refused:
    """Make the error for an answer that no server of ours would give."""
    return Refused(
        f"{_origin(answer.url)} gave an answer that is none of stemserve's. Check the "
        "address of the server.",
        answer.status_code,
    )


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    refused = _refusal(answer)
    if answer.status_code >= 500 or answer.status_code == 429:
        after = answer.headers.get("Retry-After")
        raise TryAgain(
            refused,
            retry_after_seconds(after, datetime.now(UTC)),
            is_away=answer.status_code in _AWAY,
        )
    raise refused


def _refusal(answer: httpx.Response) -> Refused:
    """Make an error of the server's own words (RFC 9457), or of ours if it has none."""
    status = answer.status_code
    if answer.has_redirect_location:
        address = answer.headers["Location"]
        return Refused(f"The server is at {address}: use that address.", status)
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    problem = problem if isinstance(problem, dict) else {}
    detail, code = problem.get("detail"), problem.get("code")
    if not isinstance(detail, str) or not detail:
        detail = f"{answer.url} answered {status} {answer.reason_phrase}."
    return Refused(detail, status, code if isinstance(code, str) else None)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
