"""How much a dispatcher takes on, and how long it waits."""

from dataclasses import dataclass

_FULL_DISK_DOUBLINGS = 3


@dataclass(frozen=True)
class DispatchPolicy:
    """How many jobs run at once, and how long a dispatcher waits for what is away.

    Of them at most `of_one_kind` are of one client, and as many are long; of the long
    ones one less are one client's, if that leaves any. So neither other clients nor
    short jobs wait until all that has been begun is done.
    """

    in_flight: int
    of_one_kind: int = 1_000_000
    lease_seconds: float = 30.0
    renew_seconds: float = 10.0
    poll_seconds: float = 1.0
    backoff_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise ValueError("in_flight must be at least 1")
        if self.of_one_kind < 1:
            raise ValueError("of_one_kind must be at least 1")
        if self.renew_seconds >= self.lease_seconds:
            raise ValueError("a lease must be renewed before it ends")

    def full_disk_delay_seconds(self, excused: int) -> float:
        """How long a job waits for room on a disk, `excused` so often before.

        Its client waits as well once there is room, so that this does not grow far.
        """
        return self.backoff_seconds * 2.0 ** min(excused, _FULL_DISK_DOUBLINGS)
