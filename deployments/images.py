"""Images: the pool with the model, and its routes."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationInfo, field_validator
from ray.serve.handle import DeploymentHandle

from deployments import memory, niceness, nodes, replica_ports
from deployments.kernel import Kernel
from deployments.logs import configure_logging
from deployments.pool import RequestPool, Strict, bind, over_defaults, Pool
from deployments.pools import answer_of
from deployments.ray_errors import Failed, translated, value_of
from deployments.system import Calls, DispatcherPart, Handles, Pools
from serve_app.api.limits import Limit
from serve_app.api.part import ApiPart
from serve_app.diffusion.port import Facts, ImageRequest, Made, Step
from serve_app.errors import AppError, Unavailable
from serve_app.images import limits
from serve_app.images.http.known_facts import KnownFacts
from serve_app.images.http.part import ImagesServices, part
from serve_app.images.settings_rules import RULES
from serve_app.settings import Settings
from serve_app.settings.check import Rule

if TYPE_CHECKING:
    from serve_app.diffusion.batcher import Batcher
