"""The deployment that dispatches the jobs of an application's systems."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from deployments import isolation, kernel, memory, nodes, replica_ports, tracing
from deployments.demand import Demands
from deployments.logs import configure_logging
from deployments.ray_meter import RayMeter
from deployments.sweeper import Sweeper
from deployments.system import DispatcherPart, Handles, System
from deployments.wiring import webhook_sender
from serve_app.jobs.table import known_ids
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.storage.working_directory import sweep


class DispatcherReplica:
    """Runs the dispatchers, the sender of messages, and the sweeps."""

    def __init__(
        self,
        settings: Settings,
        systems: Mapping[str, System],
        handles: Mapping[str, Handles],
    ) -> None:
        replica_ports.keep_from_network()
        nodes.refuse_several(settings)
        configure_logging(settings)
        isolation.warn_of_open_ray()
        meter = RayMeter()
        shared = kernel.build(settings, meter, tracing.traces(settings, meter))
        self._parts = {
            name: system.in_dispatcher(replace(shared, system=name), handles[name])
            for name, system in systems.items()
        }
        self._dispatchers = {
            dispatcher.kind: dispatcher
            for part in self._parts.values()
            for dispatcher in part.dispatchers
        }
        self._sender = webhook_sender(settings, shared.outbox, shared.sender_hooks)
        self._sweeper = _sweeper(shared, self._parts)
        self._demands = Demands(
            {
                name: read
                for part in self._parts.values()
                for name, read in part.demands.items()
            }
        )
        loops = [
            *self._dispatchers.values(),
            *(loop for part in self._parts.values() for loop in part.loops),
            self._sender,
            self._sweeper,
        ]
        # Serve calls constructors on the replica's event loop.
        self._tasks = [asyncio.ensure_future(loop.run_forever()) for loop in loops]
        # About half of the memory used at startup is free by now.
        allocator.give_back()
        memory.keep_giving_back()

    async def wake(self, kind: str) -> None:
        """Poll for new jobs of a kind at once."""
        self._dispatchers[kind].wake()

    async def stop(self, kind: str, job_id: str) -> None:
        """Stop a cancelled job, if this dispatcher runs it."""
        self._dispatchers[kind].stop(job_id)

    async def status(self, system: str) -> Mapping[str, Any]:
        """Return the status of a system and of its jobs in flight, for /health."""
        part = self._parts[system]
        report: dict[str, Any] = {}
        for loop in part.loops:
            report |= loop.status()
        kinds = {each.kind: each.status() for each in part.dispatchers}
        first = next(iter(kinds.values()), {})
        report["dispatcher"] = {**first, "webhooks": self._sender.status()}
        return {**report, "kinds": kinds, "sweeps": self._sweeper.status()}

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what policies need, for Serve to pass it to them."""
        return await self._demands.report()

    async def check_health(self) -> None:
        """Raise if a loop has ended, so that Serve restarts this replica."""
        for task in self._tasks:
            if task.done():
                await task

    async def __del__(self) -> None:
        for task in self._tasks:
            task.cancel()
        ending = (dispatcher.shutdown() for dispatcher in self._dispatchers.values())
        await asyncio.gather(*ending)
        # The sender finishes the deliveries that it has started.
        await asyncio.wait(self._tasks)


def _sweeper(shared: kernel.Kernel, parts: Mapping[str, DispatcherPart]) -> Sweeper:
    working_dir = shared.settings.working_dir
    sweeps: dict[str, Callable[[], object]] = {}
    slow_sweeps: dict[str, Callable[[], object]] = {}
    for system, part in parts.items():
        sweeps |= {f"{system}.{name}": call for name, call in part.sweeps.items()}
        slow_sweeps |= {
            f"{system}.{name}": call for name, call in part.slow_sweeps.items()
        }
    return Sweeper(
        sweeps,
        {
            # Deletes the files of killed replicas even if no new job starts.
            "working files": lambda: sweep(working_dir),
            "messages": lambda: shared.outbox.sweep(known_ids()),
            "answers": shared.answers.sweep,
            **slow_sweeps,
        },
    )
