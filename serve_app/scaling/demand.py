"""How many replicas a pool needs: for its unfinished jobs, and for what is usual."""

from collections.abc import Iterable
from statistics import median

_SLOT_SECONDS = 30
# Half an hour.
_SLOTS = 60
# Arrivals of songs vary by chance: that many more than the median keep most of them
# from waiting for a start (benchmarks/autoscaling.py).
_STANDBY = 1.25


def replicas(
    remaining_seconds: Iterable[float], speed: float, goal_seconds: float
) -> float:
    """Return how many replicas finish jobs in `goal_seconds`, as a fraction.

    `remaining_seconds` is the audio that is left of each job, `speed` how much audio a
    replica works through in a second. One replica is the most that a job can use: a
    song of two hours needs no more than one. So the sum is that of each job's share of
    a replica, and with jobs that arrive steadily the pool settles where work and
    replicas are equal and jobs take `goal_seconds`.
    """
    most_seconds = speed * goal_seconds
    return sum(min(1.0, each / most_seconds) for each in remaining_seconds)


class Usual:
    """What jobs needed in the last half hour, and how many replicas stand by for that.

    A median is blind to crowds of less than a quarter of an hour: what was started for
    them is not kept. Times of which nothing is known count as times without jobs.
    """

    def __init__(self) -> None:
        self._needed: dict[int, float] = {}

    def add(self, at: float, needed: float) -> None:
        """Note how many replicas jobs need at a time (seconds, not before others)."""
        slot = int(at // _SLOT_SECONDS)
        self._needed[slot] = needed
        for old in [each for each in self._needed if each <= slot - _SLOTS]:
            del self._needed[old]

    def standby(self, now: float) -> float:
        """Return how many replicas shall be there even if no job needs them now."""
        newest = int(now // _SLOT_SECONDS)
        slots = range(newest - _SLOTS + 1, newest + 1)
        return _STANDBY * median(self._needed.get(slot, 0.0) for slot in slots)
