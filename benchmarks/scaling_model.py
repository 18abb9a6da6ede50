"""A pool of replicas that a policy scales, as a simulation of events."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import simpy

from benchmarks.scaling_traces import Times, Trace

# How often Serve's controller gets reports.
TICK_SECONDS = 10.0


@dataclass(frozen=True)
class Pool:
    """What a replica is: its speed (audio seconds per second), places and start.

    The songs of a replica share its speed equally. A start takes a random time between
    the two, of pulling an image, loading the model, or finding a machine. A replica
    fails after `fails_after_seconds` on average; its songs go on elsewhere.
    """

    speed: float = 40.0
    places: int = 8
    start_seconds: tuple[float, float] = (20.0, 60.0)
    fails_after_seconds: float = 6 * 3600.0
    most_replicas: int = 1_000_000


@dataclass(eq=False)
class _Song:
    arrives_at: float
    audio_seconds: float
    left_seconds: float
    waited_seconds: float | None = None


@dataclass(eq=False)
class _Replica:
    began_at: float
    # By the virtual time at which they are done: audio seconds that each song had.
    songs: list[tuple[float, int, _Song]] = field(default_factory=list)
    virtual_seconds: float = 0.0
    advanced_at: float = 0.0
    is_running: bool = False
    is_draining: bool = False
    is_gone: bool = False
    version: int = 0


@dataclass(frozen=True)
class View:
    """What a policy may know at a tick.

    `left_seconds` is the audio that is left of each unfinished song, `in_pool` how many
    songs replicas or Serve's queue have, `queued` how many wait in the database.
    """

    now: float
    target: int
    running: int
    left_seconds: Callable[[], Times]
    in_pool: int
    queued: int


# Returns the number of replicas; called every ten seconds.
Policy = Callable[[View], int]


@dataclass(frozen=True)
class Outcome:
    """What a policy did: replica-seconds, delays of songs, starts and stops.

    A song's delay is the time from its arrival to its end, less that which a replica of
    its own would have taken.
    """

    replica_seconds: float
    work_seconds: float
    delays_seconds: Times
    starts: int
    stops: int
    events: int
    lost: int

    def delay(self, share: float) -> float:
        """Return the delay that `share` of the songs do not exceed."""
        return float(np.quantile(self.delays_seconds, share))

    @property
    def cost(self) -> float:
        """Replica-seconds for each second of work."""
        return self.replica_seconds / self.work_seconds


class Simulation:
    """One trace under one policy."""

    def __init__(self, trace: Trace, pool: Pool, policy: Policy, seed: int = 7) -> None:
        self._trace, self._pool, self._policy = trace, pool, policy
        self._env = simpy.Environment()
        self._random = random.Random(seed)
        self._queue: deque[_Song] = deque()
        self._replicas: set[_Replica] = set()
        # Running replicas by their number of songs, in the order of their start.
        self._free: list[dict[_Replica, None]] = [{} for _ in range(pool.places)]
        self._order = count()
        self._unfinished = 0
        self._delays: list[float] = []
        self._spent_seconds = 0.0
        self._target = self._starts = self._stops = self._events = 0

    def run(self) -> Outcome:
        """Run until all songs are done."""
        arrivals = zip(
            self._trace.arrives_at.tolist(),
            self._trace.audio_seconds.tolist(),
            strict=True,
        )
        self._scale(1)
        self._arrive(arrivals)
        self._tick(None)
        while self._unfinished or self._env.now < self._trace.seconds:
            self._env.step()
        for replica in tuple(self._replicas):
            self._remove(replica)
        return Outcome(
            self._spent_seconds,
            float(self._trace.audio_seconds.sum()) / self._pool.speed,
            np.array(self._delays),
            self._starts,
            self._stops,
            self._events,
            self._trace.audio_seconds.size - len(self._delays),
        )

    def _after(self, seconds: float, call: Callable[[simpy.Event], None]) -> None:
        self._events += 1
        timeout = self._env.timeout(seconds)
        timeout.callbacks.append(call)

    # Songs

    def _arrive(self, arrivals: "zip[tuple[float, float]]") -> None:
        found = next(arrivals, None)
        if found is None:
            return
        at, audio_seconds = found

        def arrived(_: simpy.Event) -> None:
            self._unfinished += 1
            self._queue.append(_Song(at, audio_seconds, audio_seconds))
            self._assign()
            self._arrive(arrivals)

        self._after(max(0.0, at - self._env.now), arrived)

    def _assign(self) -> None:
        """Give queued songs to the replicas with the fewest."""
        while self._queue:
            bucket = next((each for each in self._free if each), None)
            if bucket is None:
                return
            replica, song = next(iter(bucket)), self._queue.popleft()
            self._advance(replica)
            self._place(replica, -1)
            done_at = replica.virtual_seconds + song.left_seconds
            heapq.heappush(replica.songs, (done_at, next(self._order), song))
            self._place(replica, 1)
            self._plan(replica)

    def _place(self, replica: _Replica, direction: int) -> None:
        """Take a replica out of the buckets (-1), or put it into one (1)."""
        songs = len(replica.songs)
        if songs >= self._pool.places:
            return
        if direction < 0:
            self._free[songs].pop(replica, None)
        elif replica.is_running and not replica.is_draining:
            self._free[songs][replica] = None

    def _advance(self, replica: _Replica) -> None:
        if replica.songs:
            passed = self._env.now - replica.advanced_at
            replica.virtual_seconds += passed * self._pool.speed / len(replica.songs)
        replica.advanced_at = self._env.now

    def _plan(self, replica: _Replica) -> None:
        """Have the next song of a replica end in time."""
        replica.version += 1
        if not replica.songs:
            return
        version = replica.version
        left = replica.songs[0][0] - replica.virtual_seconds
        seconds = max(0.0, left) * len(replica.songs) / self._pool.speed

        def ended(_: simpy.Event) -> None:
            if replica.version == version and not replica.is_gone:
                self._end_song(replica)

        self._after(seconds, ended)

    def _end_song(self, replica: _Replica) -> None:
        self._advance(replica)
        self._place(replica, -1)
        _, _, song = heapq.heappop(replica.songs)
        self._place(replica, 1)
        self._unfinished -= 1
        own_seconds = song.audio_seconds / self._pool.speed
        self._delays.append(self._env.now - song.arrives_at - own_seconds)
        if replica.is_draining and not replica.songs:
            self._remove(replica)
        else:
            self._plan(replica)
        self._assign()

    # Replicas

    def _tick(self, _: simpy.Event | None) -> None:
        running = sum(
            each.is_running and not each.is_draining for each in self._replicas
        )
        in_pool = self._unfinished - len(self._queue)
        view = View(
            *(self._env.now, self._target, running, self._left_seconds),
            *(in_pool, len(self._queue)),
        )
        self._scale(min(self._pool.most_replicas, max(1, self._policy(view))))
        self._after(TICK_SECONDS, self._tick)

    def _left_seconds(self) -> Times:
        queued = [song.left_seconds for song in self._queue]
        for replica in self._replicas:
            self._advance(replica)
            queued += [done - replica.virtual_seconds for done, _, _ in replica.songs]
        return np.array(queued)

    def _scale(self, target: int) -> None:
        self._target = target
        present = [each for each in self._replicas if not each.is_draining]
        for _ in range(target - len(present)):
            self._start()
        if len(present) > target:
            # First those that have not started, then those with the fewest songs.
            present.sort(key=lambda each: (each.is_running, len(each.songs)))
            for replica in present[: len(present) - target]:
                self._stop(replica)

    def _start(self) -> None:
        replica = _Replica(self._env.now)
        self._replicas.add(replica)
        self._starts += 1

        def started(_: simpy.Event) -> None:
            if replica.is_gone:
                return
            replica.is_running = True
            replica.advanced_at = self._env.now
            self._place(replica, 1)
            self._after(
                self._random.expovariate(1 / self._pool.fails_after_seconds), failed
            )
            self._assign()

        def failed(_: simpy.Event) -> None:
            if not replica.is_gone:
                self._fail(replica)

        self._after(self._random.uniform(*self._pool.start_seconds), started)

    def _stop(self, replica: _Replica) -> None:
        self._stops += 1
        self._place(replica, -1)
        replica.is_draining = True
        if not replica.songs:
            self._remove(replica)

    def _fail(self, replica: _Replica) -> None:
        """Queue the rest of a replica's songs first, and replace it."""
        self._advance(replica)
        self._place(replica, -1)
        for done_at, _, song in reversed(replica.songs):
            song.left_seconds = max(0.0, done_at - replica.virtual_seconds)
            self._queue.appendleft(song)
        replica.songs = []
        was_wanted = not replica.is_draining
        self._remove(replica)
        if was_wanted:
            self._start()
        self._assign()

    def _remove(self, replica: _Replica) -> None:
        replica.is_gone = True
        self._replicas.discard(replica)
        self._spent_seconds += self._env.now - replica.began_at
