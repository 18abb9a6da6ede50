"""The limits and intervals of a dispatcher."""

from dataclasses import dataclass

_FULL_DISK_DOUBLINGS = 3


@dataclass(frozen=True)
class DispatchPolicy:
    """The limits and intervals of a dispatcher.

    At most `in_flight` jobs run at once. At most `share_limit` of them belong to one
    client, and at most as many are long. One client may run one long job less than
    that, but at least one. So other clients and short jobs find free capacity.
    """

    in_flight: int
    share_limit: int = 1_000_000
    lease_seconds: float = 30.0
    renew_seconds: float = 10.0
    poll_seconds: float = 1.0
    backoff_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise ValueError(f"in_flight must be at least 1, got {self.in_flight}")
        if self.share_limit < 1:
            raise ValueError(f"share_limit must be at least 1, got {self.share_limit}")
        if self.renew_seconds >= self.lease_seconds:
            raise ValueError(
                f"renew_seconds must be less than {self.lease_seconds}, the "
                f"lease_seconds, got {self.renew_seconds}"
            )

    def full_disk_delay_seconds(self, excused: int) -> float:
        """Return the delay after a full disk, for a job with `excused` attempts so far.

        It stays short, because a job waits that long even if space is freed at once.
        """
        return self.backoff_seconds * 2.0 ** min(excused, _FULL_DISK_DOUBLINGS)
