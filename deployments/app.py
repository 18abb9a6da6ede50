"""The application: the four deployments, bound."""

from typing import Any

from ray.serve import Application

from deployments.analyzer import Analyzer
from deployments.api import Api
from deployments.args import AppArgs
from deployments.dispatcher import DispatcherReplica
from deployments.separator import Separator

# More than the pool can work on, or its autoscaler never sees that it is too small.
_BACKLOG = 1.5


def build(args: dict[str, Any] | AppArgs) -> Application:
    """Bind the application; what `import_path: deployments.app:build` means.

    Raises pydantic's ValidationError for an argument that is misspelt or out of range.
    """
    checked = args if isinstance(args, AppArgs) else AppArgs.model_validate(args)
    settings = checked.resolved_settings()
    separator = Separator.options(**checked.separator.options()).bind(settings)
    analyzer = Analyzer.options(**checked.analyzer.options()).bind(settings)
    capacity = checked.separator.most_replicas * settings.songs_at_once
    dispatcher = DispatcherReplica.options(**checked.dispatcher.options()).bind(
        settings, max(1, int(capacity * _BACKLOG)), separator, analyzer
    )
    return Api.options(**checked.api.options()).bind(settings, dispatcher, analyzer)
