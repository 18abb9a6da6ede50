"""The owner of valid credentials, and what they allow."""

from dataclasses import dataclass
from datetime import datetime

from serve_app.usage.quotas import NO_QUOTAS, Quotas

# The tenant of keys that act for any tenant: the one that a gateway's header names.
ANY_TENANT = "*"


@dataclass(frozen=True)
class Identity:
    """The tenant of valid credentials, their scopes and their quotas.

    `credential` names them in the audit log: `key:k3x9…`, `token:user-7`, `admin`.
    """

    tenant: str
    credential: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    quotas: Quotas = NO_QUOTAS
