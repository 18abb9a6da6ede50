"""How many replicas the unfinished jobs of a pool need."""

from collections.abc import Iterable


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
