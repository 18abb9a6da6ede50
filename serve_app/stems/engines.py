"""The engines of one process, made from the settings."""

import logging
from threading import Lock
from typing import Any

from serve_app.separation import allocator, models
from serve_app.separation.backends.port import BackendOptions
from serve_app.separation.engine import Engine
from serve_app.separation.models import ModelSpec
from serve_app.separation.weights import WeightsCache
from serve_app.settings import AUTO, Settings

logger = logging.getLogger(__name__)

# An untuned allocator needs some 16 000; what else the process does needs a few.
MOST_PAGE_FAULTS = 2_000


def weights_cache(settings: Settings) -> WeightsCache:
    """Return the cache of weights that `settings` describe."""
    return WeightsCache(
        settings.weights_dir,
        mirror=settings.weights_mirror,
        timeout_seconds=settings.weights_timeout_seconds,
    )


def resolve(settings: Settings, model: str) -> ModelSpec:
    """Return the spec of `model`; `auto` is the best one that can be had now.

    Raises InvalidInput for an unknown model, and for one whose licence is not allowed.
    """
    allowed = settings.allowed_licences
    if model != AUTO:
        spec = models.find(model)
        models.check_allowed(spec, allowed)
        return spec
    spec, warning = models.resolve_auto(weights_cache(settings), allowed=allowed)
    if warning is not None:
        logger.warning(warning)
    return spec


def load_engine(settings: Settings, model: str) -> Engine:
    """Load and warm the engine of `model`, fetching its weights if they are missing.

    Raises InvalidInput for a model that is unknown or not allowed, and
    WeightsUnavailable without weights.
    """
    spec = resolve(settings, model)
    path = weights_cache(settings).pull(spec)
    options = BackendOptions(
        device=settings.device,
        runtime=settings.runtime,
        precision=settings.precision,
        threads=settings.threads,
        streams=settings.streams,
        compiled=settings.compiled,
        cache_dir=settings.weights_dir / "openvino",
    )
    engine = Engine.load(spec, path, options, settings.batch_windows)
    engine.warm_up()
    facts = engine.facts
    logger.info(
        "model loaded name=%s runtime=%s precision=%s device=%s",
        *(spec.name, facts.runtime, facts.precision, facts.device),
    )
    return engine


class EngineShelf:
    """The default engine, and others that are loaded when first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self.default = load_engine(settings, settings.model)
        self._page_faults = allocator.page_faults()
        if self._page_faults > MOST_PAGE_FAULTS:
            logger.warning(
                "the C allocator gives memory back after each pass (%d page faults in "
                "a small one): separation takes up to twice as long",
                self._page_faults,
            )
        # Half of what loading took is free by now, and idle replicas need none of it.
        allocator.give_back()
        self._engines = {
            settings.model: self.default,
            self.default.spec.name: self.default,
        }

    def get(self, model: str) -> Engine:
        """Return the engine of `model`, loaded if need be."""
        with self._lock:
            if model not in self._engines:
                self._engines[model] = load_engine(self._settings, model)
            return self._engines[model]

    def describe(self) -> dict[str, Any]:
        """Return what the default engine is, and what the allocator costs it."""
        faults = {"page_faults_per_small_forward": self._page_faults}
        return {**self.default.describe(), **faults}

    def close(self) -> None:
        """Stop the engines' device threads."""
        for engine in set(self._engines.values()):
            engine.close()
