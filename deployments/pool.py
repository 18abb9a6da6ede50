"""The options of a deployment in a Serve config: its size and its resources."""

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)
from ray import serve
from ray.serve import Application

from deployments import router_loop

# How often a stopping replica checks whether its last request is done. Serve's default
# of 2 s would add up, because deployments stop one after the other.
_DRAIN_POLL_SECONDS = 0.25
_BY_DEMAND = {"policy_function": "deployments.autoscaling:by_demand"}
_OF_DISPATCHERS = {"policy_function": "deployments.autoscaling:of_dispatchers"}


class Strict(BaseModel):
    """A frozen model that forbids unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Autoscaling(Strict):
    """Limits and delays of autoscaling; see Ray Serve's AutoscalingConfig.

    With `goal_s` the number of replicas follows the unfinished jobs, so that they are
    done in about that time, and otherwise the requests: `target_ongoing_requests`.
    """

    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    target_ongoing_requests: float = Field(default=3.0, gt=0)
    upscale_delay_s: float = Field(default=5.0, ge=0)
    downscale_delay_s: float = Field(default=300.0, ge=0)
    goal_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas must be at most max_replicas, got {self.min_replicas} "
                f"and {self.max_replicas}"
            )
        return self

    def options(self) -> dict[str, Any]:
        """Return the fields of an AutoscalingConfig."""
        limits = self.model_dump(exclude={"goal_s"})
        return limits if self.goal_s is None else {**limits, "policy": _BY_DEMAND}


class Pool(Strict):
    """Replicas, resources and timeouts of one deployment."""

    num_cpus: float = Field(default=0.1, ge=0)
    num_gpus: float = Field(default=0.0, ge=0)
    num_replicas: int = Field(default=1, ge=1)
    autoscaling: Autoscaling | None = None
    max_ongoing_requests: int = Field(default=64, ge=1)
    max_queued_requests: int = Field(default=-1, ge=-1)
    graceful_shutdown_timeout_s: float = Field(default=20.0, ge=0)
    # Replicas that an update starts before it stops old ones; Serve's default is 0.
    max_surge_percent: int = Field(default=0, ge=0, le=100)
    health_check_period_s: float = Field(default=2.0, gt=0)
    # Serve replaces a replica after three timeouts in a row, so within a minute.
    health_check_timeout_s: float = Field(default=15.0, gt=0)
    env: dict[str, str] = Field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `Deployment.options`."""
        # num_gpus=0 does not hide the GPUs of a machine from an actor.
        hidden = {} if self.num_gpus else {"CUDA_VISIBLE_DEVICES": ""}
        loop = {router_loop.VARIABLE: router_loop.OF_REPLICAS}
        options: dict[str, Any] = {
            "ray_actor_options": {
                "num_cpus": self.num_cpus,
                "num_gpus": self.num_gpus,
                "runtime_env": {"env_vars": {**hidden, **loop, **self.env}},
            },
            "max_ongoing_requests": self.max_ongoing_requests,
            "max_queued_requests": self.max_queued_requests,
            "graceful_shutdown_timeout_s": self.graceful_shutdown_timeout_s,
            "graceful_shutdown_wait_loop_s": _DRAIN_POLL_SECONDS,
            "max_surge_percent": self.max_surge_percent,
            "health_check_period_s": self.health_check_period_s,
            "health_check_timeout_s": self.health_check_timeout_s,
            # The Api logs its own requests; calls between replicas are not logged.
            "logging_config": {"enable_access_log": False},
        }
        if self.autoscaling is None:
            return {**options, "num_replicas": self.num_replicas}
        return {**options, "autoscaling_config": self.autoscaling.options()}

    @property
    def goal_seconds(self) -> float | None:
        """In what time jobs shall be done; None if replicas do not follow them."""
        return self.autoscaling.goal_s if self.autoscaling else None

    @property
    def most_replicas(self) -> int:
        """The maximum number of replicas."""
        return self.autoscaling.max_replicas if self.autoscaling else self.num_replicas


def _without_goal(pool: Pool) -> Pool:
    if pool.goal_seconds is not None:
        raise ValueError(
            "goal_s is only for pools whose jobs are queued, such as separator; "
            "give this one target_ongoing_requests"
        )
    return pool


# A pool that scales with its requests, or not at all.
RequestPool = Annotated[Pool, AfterValidator(_without_goal)]


def reporting(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a fixed number of replicas that report to policies.

    Serve takes reports only of deployments that it scales.
    """
    rest = {name: value for name, value in options.items() if name != "num_replicas"}
    number = options["num_replicas"]
    fixed = {"min_replicas": number, "max_replicas": number, "policy": _OF_DISPATCHERS}
    return {**rest, "autoscaling_config": fixed}


def over_defaults(cls: type[BaseModel], given: Any, info: ValidationInfo) -> Any:
    """Merge the fields of a pool in a config into that pool's own defaults.

    Use it in "before" validators of fields that are pools.
    """
    if not isinstance(given, dict):
        return given
    own = cls.model_fields[str(info.field_name)].default
    defaults = own.model_dump(exclude_unset=True)
    env = {**defaults.get("env", {}), **(given.get("env") or {})}
    return {**defaults, **given, "env": env}


def bind(target: type, pool: Pool, *args: Any) -> Application:
    """Bind a class as a deployment with these options and constructor arguments."""
    return bind_with(target, pool.options(), *args)


def bind_with(target: type, options: dict[str, Any], *args: Any) -> Application:
    """Bind a class with keyword arguments of `Deployment.options`."""
    return serve.deployment(target).options(**options).bind(*args)
