"""Build an application: bind the deployments of its systems, the API and dispatcher."""

from typing import Any

from ray import serve
from ray.serve import Application

from deployments import nodes
from deployments.api import Api, limits
from deployments.args import AppArgs, checked
from deployments.dispatcher import DispatcherReplica
from deployments.pool import bind, bind_with, reporting


def build(args: dict[str, Any] | AppArgs) -> Application:
    """Bind the application. Serve configs name this as their `import_path`.

    Raises pydantic's ValidationError for an unknown or invalid argument,
    WrongSettings for an invalid setting, and ValueError for data that not all nodes of
    the cluster can reach.
    """
    given = checked(args)
    settings, systems = given.resolved_settings(), given.made()
    nodes.refuse_several(settings)
    handles = {name: system.pools(settings) for name, system in systems.items()}
    options = given.dispatcher.options()
    if given.has_goals and given.dispatcher.autoscaling is None:
        options = reporting(options)
    dispatcher = bind_with(DispatcherReplica, options, settings, systems, handles)
    return bind(
        serve.ingress()(Api),
        given.api,
        settings,
        limits(settings, given.api),
        systems,
        handles,
        dispatcher,
    )
