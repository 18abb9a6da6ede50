"""Requests: what comes back is an answer, something final, or a reason to try again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from serve_app.client.errors import Refused, ServerUnreachable
from serve_app.client.retry import TryAgain, retry_after_seconds
from serve_app.errors import InvalidInput


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
    except httpx.UnsupportedProtocol as err:
        raise InvalidInput(
            f"{request.url} is no address of a server; it must begin with http://."
        ) from err
    except httpx.RequestError as err:
        reason = str(err) or type(err).__name__
        raise TryAgain(
            ServerUnreachable(
                f"{_origin(request.url)} does not answer ({reason}). Check the address "
                "and that the server runs, then try again."
            )
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
    refused = Refused(_detail(answer), answer.status_code)
    if answer.status_code >= 500 or answer.status_code == 429:
        after = answer.headers.get("Retry-After")
        raise TryAgain(refused, retry_after_seconds(after, datetime.now(UTC)))
    raise refused


def _detail(answer: httpx.Response) -> str:
    """Return the server's own words (RFC 9457), or ours if it has none."""
    if answer.has_redirect_location:
        return f"The server is at {answer.headers['Location']}: use that address."
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    if isinstance(detail, str) and detail:
        return detail
    return f"{answer.url} answered {answer.status_code} {answer.reason_phrase}."


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
