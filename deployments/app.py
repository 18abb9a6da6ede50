"""The application: the four deployments, bound."""

from typing import Any

from ray import serve
from ray.serve import Application

from deployments.analyzer import Analyzer
from deployments.api import Api
from deployments.args import AppArgs, Pool
from deployments.dispatcher import DispatcherReplica
from deployments.separator import Separator

# More than the pool can work on, or its autoscaler never sees that it is too small.
_BACKLOG = 1.5


def build(args: dict[str, Any] | AppArgs) -> Application:
    """Bind the application; what `import_path: deployments.app:build` means.

    Raises pydantic's ValidationError for an argument that is misspelt or out of range,
    and WrongSettings for a setting that cannot be.
    """
    checked = args if isinstance(args, AppArgs) else AppArgs.model_validate(args)
    settings = checked.resolved_settings()
    capacity = checked.separator.most_replicas * settings.songs_at_once
    separator = _bind(Separator, checked.separator, settings)
    analyzer = _bind(Analyzer, checked.analyzer, settings)
    dispatcher = _bind(
        DispatcherReplica,
        checked.dispatcher,
        settings,
        max(capacity + 1, int(capacity * _BACKLOG)),
        capacity,
        separator,
        analyzer,
    )
    return _bind(
        serve.ingress()(Api),
        checked.api,
        settings,
        checked.api.max_ongoing_requests,
        dispatcher,
        analyzer,
    )


def _bind(target: type, pool: Pool, *args: Any) -> Application:
    """Make the class a deployment of that size, with those constructor arguments."""
    deployment = serve.deployment(target).options(**pool.options())
    return deployment.bind(*args)
