"""The separation engines of one process, by the settings."""

import logging
from functools import partial
from threading import Lock
from typing import Any

from serve_app.separation import allocator, models
from serve_app.separation.backends.port import BackendOptions
from serve_app.separation.batcher import OnBatch
from serve_app.separation.engine import Engine
from serve_app.separation.models import ModelSpec
from serve_app.separation.weights import WeightsCache
from serve_app.settings import Settings
from serve_app.settings.stems import AUTO

logger = logging.getLogger(__name__)

# An untuned allocator causes some 16 000; the rest of the process causes a few.
MOST_PAGE_FAULTS = 2_000


def weights_cache(settings: Settings) -> WeightsCache:
    """Return the cache of weights that `settings` describe."""
    return WeightsCache(
        settings.weights_dir,
        mirror=settings.weights_mirror,
        timeout_seconds=settings.weights_timeout_seconds,
    )


def resolve(settings: Settings, model: str) -> ModelSpec:
    """Return the spec of `model`; `auto` is the best one that is available now.

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


def load_engine(
    settings: Settings, model: str, on_batch: OnBatch = lambda *_: None
) -> Engine:
    """Load and warm up the engine of `model`; fetch its weights if they are missing.

    Raises InvalidInput for a model that is unknown or not allowed, and
    WeightsUnavailable if the weights can't be fetched.
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
    engine = Engine.load(spec, path, options, settings.batch_windows, on_batch)
    engine.warm_up()
    facts = engine.facts
    logger.info(
        "model loaded name=%s runtime=%s precision=%s device=%s",
        *(spec.name, facts.runtime, facts.precision, facts.device),
    )
    return engine


class EngineShelf:
    """The default engine, and other engines that are loaded at their first use.

    For `on_batch` see `Batcher`.
    """

    def __init__(self, settings: Settings, on_batch: OnBatch = lambda *_: None) -> None:
        self._load = partial(load_engine, settings, on_batch=on_batch)
        self._lock = Lock()
        self.default = self._load(settings.model)
        self._page_faults = allocator.page_faults()
        if self._page_faults > MOST_PAGE_FAULTS:
            logger.warning(
                "allocator not tuned page_faults=%d: it returns memory after each "
                "pass, and separation takes up to twice as long",
                self._page_faults,
            )
        # Half of the memory that loading took is free now, and idle replicas need none.
        allocator.give_back()
        self._engines = {
            settings.model: self.default,
            self.default.spec.name: self.default,
        }

    def get(self, model: str) -> Engine:
        """Return the engine of `model`; load it if necessary."""
        with self._lock:
            if model not in self._engines:
                self._engines[model] = self._load(model)
            return self._engines[model]

    def describe(self) -> dict[str, Any]:
        """Return the facts of the default engine, and its page faults."""
        faults = {"page_faults_per_small_forward": self._page_faults}
        return {**self.default.describe(), **faults}

    def close(self) -> None:
        """Stop the engines' device threads."""
        for engine in set(self._engines.values()):
            engine.close()
