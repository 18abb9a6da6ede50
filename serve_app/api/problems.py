"""Error responses: application/problem+json (RFC 9457), always with a `detail`."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from serve_app.api import invalid_parameters, request_id
from serve_app.api.wire import (
    FieldError,
    Problem,
)
from serve_app.errors import (
    AppError,
    BadRequest,
    BodyTooSlow,
    Forbidden,
    InvalidField,
    InvalidInput,
    QueueFull,
    QuotaExceeded,
    RangeNotSatisfiable,
    Unauthorized,
)

MEDIA_TYPE = "application/problem+json"
# Replicas restart and databases fail over in about this time.
RETRY_AFTER_SECONDS = 5
# Of a JSON body, for all but a syntax error, such as bytes that are not UTF-8.
_FASTAPI_CANT_PARSE = "There was an error parsing the body"
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_CONTENT = {"schema": {"$ref": "#/components/schemas/Problem"}}


def of(error: AppError) -> Problem:
    """Return the problem for `error` in the current request."""
    return Problem(
        type=f"urn:stemserve:problem:{error.code}",
        title=_title(error.code),
        status=error.status,
        detail=error.detail,
        code=error.code,
        instance=f"urn:stemserve:request:{request_id.current.get()}",
        retryable=error.retryable,
    )


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response with `problem`."""
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=problem.status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def unexpected() -> Response:
    """Return the response to a request on which the server itself failed."""
    reference = request_id.current.get()
    return answer(
        of(
            AppError(
                "The server failed while it handled this request. Try again; if it "
                f"fails again, give the operator this request id: {reference}."
            )
        )
    )


async def on_app_error(request: Request, error: AppError) -> Response:
    """Return the response to an AppError."""
    problem, headers = of(error), {}
    if isinstance(error, InvalidField):
        wrong = FieldError(loc=["body", error.field], msg=error.detail, type=error.code)
        problem = problem.model_copy(update={"errors": [wrong]})
    if isinstance(error, Unauthorized | Forbidden):
        headers["WWW-Authenticate"] = _challenge(error)
    if isinstance(error, QueueFull | QuotaExceeded):
        headers["Retry-After"] = str(error.retry_after_seconds)
    elif error.retryable:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(error, BodyTooSlow):
        # The rest of the body must not be read as another request.
        headers["Connection"] = "close"
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size_bytes}"
    return answer(problem, headers)


def _challenge(error: Unauthorized | Forbidden) -> str:
    """Return what RFC 6750, section 3, has servers say of a Bearer token."""
    challenge = 'Bearer realm="stemserve"'
    if isinstance(error, Forbidden):
        scope = f', scope="{error.scope}"' if error.scope else ""
        return f'{challenge}, error="insufficient_scope"{scope}'
    return f'{challenge}, error="invalid_token"' if error.has_credentials else challenge


async def on_http_exception(request: Request, error: HTTPException) -> Response:
    """Return the response to an error of the router: unknown path or method."""
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    headers = dict(error.headers or {})
    if "Allow" in headers:
        # The router names only the methods of the first route of the path.
        headers["Allow"] = ", ".join(_methods(request))
    problem = of(AppError(_http_detail(request, error))).model_copy(
        update={
            "type": f"urn:stemserve:problem:{code}",
            "title": _title(code),
            "status": error.status_code,
            "code": code,
        }
    )
    return answer(problem, headers)


async def on_validation_error(
    request: Request, error: RequestValidationError
) -> Response:
    """Return the response to invalid parameters: a sentence for each, and the list."""
    if any(each["type"] == "json_invalid" for each in error.errors()):
        return answer(of(BadRequest(invalid_parameters.NOT_JSON)))
    fields = invalid_parameters.fields_of(request)
    errors = [
        FieldError(
            loc=list(each["loc"]),
            msg=invalid_parameters.message(each, fields),
            type=each["type"],
        )
        for each in error.errors()
    ]
    problem = of(InvalidInput(" ".join(each.msg for each in errors)))
    return answer(problem.model_copy(update={"errors": errors}))


def documented(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """Describe `errors` for OpenAPI by status, and all others by a default."""
    responses: dict[int | str, dict[str, Any]] = {
        "default": {
            "description": "Any other problem",
            "content": {MEDIA_TYPE: _CONTENT},
        }
    }
    for error in errors:
        entry = responses.setdefault(
            error.status,
            {
                "description": HTTPStatus(error.status).phrase,
                "content": {MEDIA_TYPE: {**_CONTENT, "examples": {}}},
            },
        )
        entry["content"][MEDIA_TYPE]["examples"][error.code] = {
            "summary": _title(error.code),
            "value": _example(error),
        }
    return responses


def _example(error: type[AppError]) -> dict[str, Any]:
    return {
        "type": f"urn:stemserve:problem:{error.code}",
        "title": _title(error.code),
        "status": error.status,
        "detail": "What is wrong, and what to do.",
        "code": error.code,
        "instance": "urn:stemserve:request:5b0c1f7e",
        "retryable": error.retryable,
    }


def _title(code: str) -> str:
    return code.replace("_", " ").capitalize()


def _http_detail(request: Request, error: HTTPException) -> str:
    # JSON escapes control characters of a hostile path.
    path = json.dumps(request.url.path[:200])
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"There is no resource at {path}. See /docs for all calls."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = _methods(request) if "Allow" in (error.headers or {}) else []
        *others, last = methods or ["another method"]
        allowed = f"{', '.join(others)} or {last}" if others else last
        return f"{path} does not support {request.method}. Use {allowed}."
    if error.detail == _FASTAPI_CANT_PARSE:
        return invalid_parameters.NOT_JSON
    return error.detail


def _methods(request: Request) -> list[str]:
    """Return the methods that the path supports, of all its routes."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
