"""The size of deployments, as `serve_config.yaml` says it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo
from ray import serve
from ray.serve import Application

# How often a replica that stops looks whether its last request is done. Serve's own 2 s
# are waited for one deployment after the other, on each stop of the whole service.
_DRAIN_POLL_SECONDS = 0.25


class Strict(BaseModel):
    """A model that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Autoscaling(Strict):
    """Bounds and pace of a pool; see Ray Serve's AutoscalingConfig."""

    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    target_ongoing_requests: float = Field(default=3.0, gt=0)
    upscale_delay_s: float = Field(default=5.0, ge=0)
    downscale_delay_s: float = Field(default=300.0, ge=0)


class Pool(Strict):
    """Size and share of the machine of one deployment."""

    num_cpus: float = Field(default=0.1, ge=0)
    num_gpus: float = Field(default=0.0, ge=0)
    num_replicas: int = Field(default=1, ge=1)
    autoscaling: Autoscaling | None = None
    max_ongoing_requests: int = Field(default=64, ge=1)
    max_queued_requests: int = Field(default=-1, ge=-1)
    graceful_shutdown_timeout_s: float = Field(default=20.0, ge=0)
    health_check_period_s: float = Field(default=2.0, gt=0)
    # Serve replaces a replica after three of them in a row: within a minute.
    health_check_timeout_s: float = Field(default=15.0, gt=0)
    env: dict[str, str] = Field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `Deployment.options`."""
        # num_gpus=0 does not hide the GPUs of a machine from an actor.
        hidden = {} if self.num_gpus else {"CUDA_VISIBLE_DEVICES": ""}
        options: dict[str, Any] = {
            "ray_actor_options": {
                "num_cpus": self.num_cpus,
                "num_gpus": self.num_gpus,
                "runtime_env": {"env_vars": {**hidden, **self.env}},
            },
            "max_ongoing_requests": self.max_ongoing_requests,
            "max_queued_requests": self.max_queued_requests,
            "graceful_shutdown_timeout_s": self.graceful_shutdown_timeout_s,
            "graceful_shutdown_wait_loop_s": _DRAIN_POLL_SECONDS,
            "health_check_period_s": self.health_check_period_s,
            "health_check_timeout_s": self.health_check_timeout_s,
            # The Api logs its requests itself; calls between replicas are noise.
            "logging_config": {"enable_access_log": False},
        }
        if self.autoscaling is None:
            return {**options, "num_replicas": self.num_replicas}
        return {**options, "autoscaling_config": self.autoscaling.model_dump()}

    @property
    def most_replicas(self) -> int:
        """How many replicas the pool may grow to."""
        return self.autoscaling.max_replicas if self.autoscaling else self.num_replicas


def over_defaults(cls: type[BaseModel], given: Any, info: ValidationInfo) -> Any:
    """Lay what a config says of a pool over that pool's own defaults.

    For a validator, before, of fields that are pools.
    """
    if not isinstance(given, dict):
        return given
    own = cls.model_fields[str(info.field_name)].default
    defaults = own.model_dump(exclude_unset=True)
    env = {**defaults.get("env", {}), **(given.get("env") or {})}
    return {**defaults, **given, "env": env}


def bind(target: type, pool: Pool, *args: Any) -> Application:
    """Make the class a deployment of that size, with those constructor arguments."""
    deployment = serve.deployment(target).options(**pool.options())
    return deployment.bind(*args)
