"""What `serve_config.yaml` may say, checked: a typo is an error, not a default."""

from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from serve_app import settings_check
from serve_app.separation import allocator
from serve_app.settings import Settings

# How often a replica that stops looks whether its last request is done. Serve's own 2 s
# are waited for one deployment after the other, on each stop of the whole service.
_DRAIN_POLL_SECONDS = 0.25

NUMBA_CACHE = str(Path.home() / ".cache" / "stemserve" / "numba")


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


class AppArgs(Strict):
    """The arguments of `deployments.app:build`.

    `settings` holds fields of `serve_app.settings.Settings`; the environment's
    `STEMSERVE_*` fill in those that are not named.
    """

    settings: dict[str, Any] = Field(default_factory=dict)
    # Most of them wait for a job, or send a file: the work itself is in few threads. A
    # crowd is refused by the API itself, soon and in its own words, so it may queue.
    api: Pool = Pool(max_ongoing_requests=512, max_queued_requests=1024)
    dispatcher: Pool = Pool(max_ongoing_requests=1000, graceful_shutdown_timeout_s=60)
    separator: Pool = Pool(
        max_ongoing_requests=8,
        graceful_shutdown_timeout_s=600,
        env={allocator.VARIABLE: allocator.TUNABLES},
    )
    # Several at once, so that a short song is not behind a long one. Compiled once for
    # all starts: cold, numba takes a replica 20 seconds.
    analyzer: Pool = Pool(max_ongoing_requests=4, env={"NUMBA_CACHE_DIR": NUMBA_CACHE})

    @field_validator("api", "dispatcher", "separator", "analyzer", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any, info: ValidationInfo) -> Any:
        """Lay what a config says of a pool over that pool's own defaults."""
        if not isinstance(given, dict):
            return given
        name = str(info.field_name)
        own = cls.model_fields[name].default.model_dump(exclude_unset=True)
        env = {**own.get("env", {}), **(given.get("env") or {})}
        return {**own, **given, "env": env}

    def resolved_settings(self) -> Settings:
        """Return the settings, these arguments over the environment's.

        Raises WrongSettings, a ValueError, for those that cannot be.
        """
        return settings_check.read(self.settings)
