"""The audit log: who did what, as one JSON object a line."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from serve_app.api.route_rules import SAFE_METHODS

# Not below `serve_app`: its level and handlers are not those of other logs.
LOGGER = "stemserve.audit"
logger = logging.getLogger(LOGGER)

# What the log contains.
AuditLevel = Literal["off", "changes", "all"]

_REFUSALS = (401, 403, 429)
# A line must fit into the 4096 bytes that pipes write at once.
_LONGEST = 200


@dataclass(frozen=True)
class HttpRequest:
    """A request as the audit log shows it.

    `route` is the template of the path: the path itself may contain a secret. `job` and
    `key` are the ids that it names. `status` is 0 if the client left before the
    response. The request `needs_admin` if its route does.
    """

    credential: str
    tenant: str
    method: str
    route: str
    status: int
    request: str
    client: str
    job: str = ""
    key: str = ""
    needs_admin: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether the client may not do this, or not now."""
        return self.status in _REFUSALS

    @property
    def is_change(self) -> bool:
        """Whether the log of changes contains it."""
        changes = self.method not in SAFE_METHODS
        return changes or self.is_refused or self.needs_admin


def configure(*handlers: logging.Handler) -> None:
    """Send the lines, and nothing else, to `handlers`, whatever the log level is."""
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = list(handlers)
    logger.setLevel(logging.INFO)
    logger.propagate = False


@dataclass(frozen=True)
class Audit:
    """Writes the audit log. Never a secret: the callers pass no text of clients."""

    level: AuditLevel
    clock: Callable[[], datetime]

    def request(self, request: HttpRequest, *, is_open: bool) -> None:
        """Write a line about a request, if the level includes it.

        Where access `is_open`, only the level `all` does.
        """
        is_wanted = self.level == "all" or (
            self.level == "changes" and request.is_change and not is_open
        )
        if is_wanted:
            event = "request refused" if request.is_refused else "request"
            fields = asdict(request)
            del fields["needs_admin"]
            self._write(event, fields)

    def command(self, event: str, user: str, key_id: str = "") -> None:
        """Write a line about a command of a user of the machine."""
        if self.level != "off":
            self._write(event, {"credential": f"cli:{user}", "key": key_id})

    def _write(self, event: str, fields: dict[str, Any]) -> None:
        """Write a line. Empty fields are null; a job or key is absent if empty."""
        line = {"time": self.clock().isoformat(timespec="milliseconds"), "event": event}
        for name, value in fields.items():
            if isinstance(value, str):
                value = value[:_LONGEST] or None
            if value is not None or name not in ("job", "key"):
                line[name] = value
        logger.info(json.dumps(line))
