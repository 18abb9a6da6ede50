"""Requests as the audit log shows them."""

import re

from starlette.datastructures import Headers

from serve_app.access.audit import HttpRequest
from serve_app.api import pieces, request_id
from serve_app.api.door import Ended
from serve_app.api.route_rules import Need

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_KEY_ID = re.compile(r"[a-z0-9]{12}")
# The id in the path of an unknown job or key is any text that the client sent.
_UNCHECKED = (0, 401, 403, 404)


def is_recorded(ended: Ended) -> bool:
    """Whether a request needs a line; later pieces of a file belong to the first."""
    is_public = ended.route.rule.need is Need.NOTHING
    return not is_public and pieces.is_first(Headers(scope=ended.scope))


def http_request(ended: Ended, credential: str, tenant: str) -> HttpRequest:
    """Return a request that has ended, without any text that could be a secret."""
    scope, parameters = ended.scope, ended.route.parameters
    if ended.status in _UNCHECKED:
        parameters = {}
    created = ended.location.partition("?")[0].rpartition("/")[2]
    return HttpRequest(
        credential=credential,
        tenant=tenant,
        method=scope["method"],
        route=ended.route.template,
        status=ended.status,
        request=request_id.current.get(),
        client=(scope.get("client") or ("", 0))[0],
        job=_matching(_JOB_ID, parameters.get("job_id", created)),
        key=_matching(_KEY_ID, parameters.get("key_id", "")),
        needs_admin=ended.route.rule.need is Need.ADMIN,
    )


def _matching(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else ""
