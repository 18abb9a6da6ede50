"""What a scenario did, whether that is good enough, and the table of all of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tools.load.measures import Call

SUCCEEDED = "completed"
_EXAMPLES = 5
_HEAD = (
    *("requests", "failed", "for", "429", "jobs", "lost", "webhooks"),
    *("streams", "resumed", "cuts", "slowest"),
)


@dataclass(frozen=True)
class JobEnd:
    """How a job ended: its status, its stems that are there, and its webhooks.

    `deliveries` are the webhooks that the receiver took, `webhook_ids` the different
    ones among them.
    """

    status: str
    stems: int = 0
    deliveries: int = 0
    webhook_ids: int = 0


@dataclass(frozen=True)
class Streams:
    """Streams of our client: how many, how often they went on and after what time.

    `cuts` says what was wrong with those that raised an error or had other content.
    """

    opened: int
    resumed_seconds: tuple[float, ...] = ()
    cuts: tuple[str, ...] = ()

    @property
    def slowest_seconds(self) -> float:
        """The longest time until a stream went on; 0 if none had to."""
        return max(self.resumed_seconds, default=0.0)


@dataclass(frozen=True)
class Bars:
    """What a scenario must keep to; None is no bar.

    No job may be lost in any of them.
    """

    failed_requests: int | None = 0
    resumed_seconds: float | None = None
    stems: int = 4


@dataclass(frozen=True)
class Outcome:
    """What a scenario did.

    `calls` are the requests by kind, `jobs` how each job ended, by its id.
    `refused_seconds` is the time from the first failed request to the last one.
    `times` are the durations of its steps in seconds. `notes` say what else it saw,
    `faults` what was wrong.
    """

    scenario: str
    seconds: float
    bars: Bars
    calls: Mapping[str, Call] = field(default_factory=dict)
    jobs: Mapping[str, JobEnd] = field(default_factory=dict)
    streams: Streams | None = None
    refused_seconds: float = 0.0
    times: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        """The number of requests that got any response, or none."""
        return sum(
            len(call.seconds) + call.refused + call.errors
            for call in self.calls.values()
        )

    @property
    def failed(self) -> int:
        """The number of failed requests. A response 429 is no failure."""
        return sum(call.errors for call in self.calls.values())

    @property
    def refused(self) -> int:
        """The number of responses 429."""
        return sum(call.refused for call in self.calls.values())

    @property
    def lost(self) -> list[str]:
        """The ids of jobs that did not succeed."""
        return [id for id, end in self.jobs.items() if end.status != SUCCEEDED]

    def problems(self) -> Iterator[str]:
        """Yield a line for each bar that was missed, and for each fault."""
        yield from self.faults
        most = self.bars.failed_requests
        if most is not None and self.failed > most:
            yield f"{self.failed} requests failed, and the limit is {most}"
        yield from _of_jobs(self.jobs, self.bars.stems)
        if self.streams is not None:
            yield from _of_streams(self.streams, self.bars.resumed_seconds)

    def failures(self) -> Iterator[str]:
        """Yield examples of failed requests, with how many there were of each kind."""
        for name, call in self.calls.items():
            for example in call.examples:
                yield f"{name} ({call.errors} failed): {example}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON would have it, without each single response time."""
        found = asdict(self)
        for call in found["calls"].values():
            call["responses"] = len(call.pop("seconds"))
        return {
            **found,
            "requests": self.requests,
            "failed": self.failed,
            "lost": self.lost,
            "problems": list(self.problems()),
        }


def refused_seconds(failed_at: Sequence[float]) -> float:
    """Return the time from the first failure to the last one; 0 without any."""
    return max(failed_at) - min(failed_at) if failed_at else 0.0


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines of a table of scenarios."""
    yield f"{'scenario':10}{'time':>8}" + "".join(f"{each:>10}" for each in _HEAD)
    for each in outcomes:
        webhooks = sum(end.deliveries for end in each.jobs.values())
        cells: list[object] = [each.requests, each.failed]
        cells += [f"{each.refused_seconds:.1f} s", each.refused]
        cells += [len(each.jobs), len(each.lost), webhooks]
        if each.streams is None:
            cells += ["-"] * 4
        else:
            streams = each.streams
            cells += [streams.opened, len(streams.resumed_seconds), len(streams.cuts)]
            cells.append(f"{streams.slowest_seconds:.2f} s")
        row = "".join(f"{cell!s:>10}" for cell in cells)
        yield f"{each.scenario:10}{each.seconds:6.0f} s{row}"


def _of_jobs(jobs: Mapping[str, JobEnd], stems: int) -> Iterator[str]:
    """Yield what is wrong with jobs, each fault once with the number of jobs."""
    faults: Counter[str] = Counter()
    for end in jobs.values():
        if end.status != SUCCEEDED:
            faults[f"lost: the status is {end.status!r}"] += 1
        elif end.stems != stems:
            faults[f"without all stems: {end.stems} of {stems}"] += 1
        elif (end.deliveries, end.webhook_ids) != (1, 1):
            faults[
                f"with {end.deliveries} webhooks of {end.webhook_ids} ids, expected 1"
            ] += 1
    for fault, number in faults.items():
        yield f"{number} jobs {fault}"


def _of_streams(streams: Streams, most_seconds: float | None) -> Iterator[str]:
    if streams.cuts:
        examples = "; ".join(dict.fromkeys(streams.cuts[:_EXAMPLES]))
        yield f"{len(streams.cuts)} streams were cut: {examples}"
    if most_seconds is not None and streams.slowest_seconds > most_seconds:
        yield (
            f"a stream went on after {streams.slowest_seconds:.2f} s, and the limit "
            f"is {most_seconds:g} s"
        )
