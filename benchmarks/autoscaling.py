"""Compare policies of autoscaling by a simulation of days, and write the table.

    python benchmarks/autoscaling.py [--hours 6] [--load 5] [--write] [--json FILE]

For each pattern of arrivals and each policy, all settings of a sweep are simulated. The
first table has the cheapest setting of each policy in each trace that keeps the delays
of 99 % of the songs below the limit: what an operator would have chosen afterwards. The
second has the one setting of each policy that does so in all traces: what an operator
can choose. `--write` puts both into docs/autoscaling.md. At the end, one policy runs
with up to `--largest` replicas.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from benchmarks import scaling_policies as policies  # noqa: E402
from benchmarks.scaling_model import (  # noqa: E402
    TICK_SECONDS,
    Outcome,
    Policy,
    Pool,
    Simulation,
)
from benchmarks.scaling_policies import Knobs  # noqa: E402
from benchmarks.scaling_traces import PATTERNS, Trace, trace  # noqa: E402

_PAGE = ROOT / "docs" / "autoscaling.md"
_BEGIN, _END = "<!-- simulated -->\n", "<!-- end -->\n"
Maker = Callable[[Trace, Pool, Knobs], Policy]

OURS, DEFAULT = "goal", "Serve's default"
MAKERS: Mapping[str, Maker] = {
    OURS: policies.ours,
    DEFAULT: policies.by_requests,
    "Serve's queue length": policies.by_queue,
    "oracle": policies.oracle,
}
_TARGETS: Mapping[str, Sequence[float]] = {
    OURS: (5, 8, 12, 20),
    DEFAULT: (0.75, 1, 1.5, 2, 3),
    "Serve's queue length": (0.75, 1, 1.5, 2, 3),
    "oracle": (0.8, 1.0, 1.2),
}
# The fewest replicas, over the average number of busy ones.
_LEAST = (0.0, 1.6)
_DELAYS = ((0.0, 0.0), (0.0, 60.0), (5.0, 300.0))


@dataclass(frozen=True)
class Tried:
    """A policy with a setting in a trace, and what came of it."""

    trace: str
    policy: str
    knobs: Knobs
    cost: float
    p50_seconds: float
    p99_seconds: float
    changes_per_hour: float


def settings(policy: str, load: float) -> Iterator[Knobs]:
    """Yield the settings of a policy that are tried."""
    delays = ((0.0, 30.0), (0.0, 60.0)) if policy == "oracle" else _DELAYS
    least = (0.0,) if policy == "oracle" else _LEAST
    for target, (up_s, down_s), share in product(_TARGETS[policy], delays, least):
        yield Knobs(target, up_s, down_s, max(1, round(share * load)))


def tried(given: Trace, pool: Pool, policy: str, knobs: Knobs) -> Tried:
    """Simulate a policy in a trace."""
    outcome = Simulation(given, pool, MAKERS[policy](given, pool, knobs)).run()
    changes = outcome.starts + outcome.stops
    return Tried(
        *(given.name, policy, knobs, outcome.cost),
        *(outcome.delay(0.5), outcome.delay(0.99)),
        changes / (given.seconds / 3600),
    )


def sweep(name: str, options: argparse.Namespace) -> Sequence[Tried]:
    """Simulate all settings of all policies in a trace."""
    pool = Pool()
    given = trace(name, options.load, pool.speed, options.hours * 3600)
    return [
        tried(given, pool, policy, knobs)
        for policy in MAKERS
        for knobs in settings(policy, options.load)
    ]


def limits(found: Sequence[Tried], limit_seconds: float) -> Mapping[str, float]:
    """Return the limit of each trace.

    Where nothing that can be known keeps it, because songs come faster than replicas
    start: that of the shortest delays, and the ten seconds in which a policy acts once.
    """
    shortest = {
        name: min(
            one.p99_seconds
            for one in found
            if one.trace == name and one.policy != "oracle"
        )
        for name in PATTERNS
    }
    return {
        name: limit_seconds if seconds <= limit_seconds else seconds + TICK_SECONDS
        for name, seconds in shortest.items()
    }


def by_trace(
    found: Sequence[Tried], limit_seconds: float
) -> Mapping[str, Mapping[str, Tried]]:
    """Return each policy's cheapest setting within the limit, by trace.

    Where it has none, that with the shortest delay.
    """
    most_seconds = limits(found, limit_seconds)
    best: dict[str, dict[str, Tried]] = {}
    for name in PATTERNS:
        for policy in MAKERS:
            of_both = [
                one for one in found if (one.trace, one.policy) == (name, policy)
            ]
            best.setdefault(name, {})[policy] = min(
                of_both,
                key=lambda one: (
                    max(one.p99_seconds, most_seconds[one.trace]),
                    one.cost,
                ),
            )
    return best


def in_all(
    found: Sequence[Tried], limit_seconds: float
) -> Mapping[str, Mapping[str, Tried]]:
    """Return each policy's one setting: of those with the shortest delays the cheapest.

    Its delays count where they exceed the limit, and its cost by the mean of all.
    """
    most_seconds = limits(found, limit_seconds)
    chosen: dict[str, dict[str, Tried]] = {}
    for policy in MAKERS:
        groups: dict[Knobs, list[Tried]] = {}
        for one in found:
            if one.policy == policy:
                groups.setdefault(one.knobs, []).append(one)

        def rank(group: Sequence[Tried]) -> tuple[float, float]:
            late = max(one.p99_seconds - most_seconds[one.trace] for one in group)
            return max(0.0, late), statistics.fmean(one.cost for one in group)

        for one in min(groups.values(), key=rank):
            chosen.setdefault(one.trace, {})[policy] = one
    return {name: chosen[name] for name in PATTERNS}


def table(best: Mapping[str, Mapping[str, Tried]]) -> str:
    """Return the costs, delays and changes as Markdown."""
    lines = [
        f"| trace | {' | '.join(MAKERS)} | {OURS} / {DEFAULT} |",
        "|---" * (len(MAKERS) + 2) + "|",
    ]
    for name, row in best.items():
        cells = " | ".join(_cell(row[policy]) for policy in MAKERS)
        lines.append(f"| {name} | {cells} | {ratio(row):.2f} |")
    ratios = [ratio(row) for row in best.values()]
    lines.append(
        f"| median; largest | {' | ' * (len(MAKERS) - 1)} | "
        f"{statistics.median(ratios):.2f}; {max(ratios):.2f} |"
    )
    return "\n".join(lines) + "\n"


def ratio(row: Mapping[str, Tried]) -> float:
    """Return our cost over that of Serve's default."""
    return row[OURS].cost / row[DEFAULT].cost


def _cell(one: Tried) -> str:
    delays = f"{one.p50_seconds:.0f} / {one.p99_seconds:.0f} s"
    return f"{one.cost:.2f}; {delays}; {one.changes_per_hour:.0f}"


def knobs_of(best: Mapping[str, Mapping[str, Tried]]) -> str:
    """Return the one setting of each policy, as Markdown."""
    row = next(iter(best.values()))
    return "".join(
        f"- {policy}: target {one.knobs.target:g}, up after {one.knobs.up_s:g} s, down "
        f"after {one.knobs.down_s:g} s, at least {one.knobs.least} replicas\n"
        for policy, one in row.items()
    )


def large(load: float) -> tuple[Outcome, int]:
    """Simulate our policy with so many busy replicas, for half an hour."""
    pool = Pool()
    given = trace("steady", load, pool.speed, 1800)
    knobs = Knobs(20, 0.0, 60.0, round(load))
    most = 0

    policy = policies.ours(given, pool, knobs)

    def counting(view: policies.View) -> int:
        nonlocal most
        number = policy(view)
        most = max(most, number)
        return number

    return Simulation(given, pool, counting).run(), most


def write(text: str) -> None:
    """Replace what is between the marks in the page."""
    before, rest = _PAGE.read_text().split(_BEGIN)
    _PAGE.write_text(before + _BEGIN + text + _END + rest.split(_END)[1])


def main(arguments: Sequence[str]) -> int:
    """Simulate, print and write; return 1 with --check if a bar is missed."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--hours", type=float, default=6.0)
    top.add_argument("--load", type=float, default=5.0, help="average busy replicas")
    top.add_argument("--limit", type=float, default=60.0, help="seconds of delay")
    top.add_argument("--largest", type=float, default=10_000, help="replicas; 0: none")
    top.add_argument("--write", action="store_true", help="write docs/autoscaling.md")
    top.add_argument("--check", action="store_true")
    top.add_argument("--json", type=Path)
    options = top.parse_args(arguments)
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        swept = workers.map(sweep, PATTERNS, [options] * len(PATTERNS))
        found = [one for each in swept for one in each]
    afterwards, before = by_trace(found, options.limit), in_all(found, options.limit)
    text = (
        f"The cheapest setting in each trace:\n\n{table(afterwards)}\n"
        f"One setting for all traces:\n\n{table(before)}\n{knobs_of(before)}"
    )
    if options.largest:
        # As many as are needed in the end, with the songs that wait at the start.
        outcome, most = large(options.largest / 1.3)
        text += (
            f"\nWith up to {most:,} replicas: cost {outcome.cost:.2f}, delays "
            f"{outcome.delay(0.5):.0f} / {outcome.delay(0.99):.0f} s, "
            f"{outcome.events:,} events, {outcome.lost} songs lost.\n"
        )
    print(text)
    if options.write:
        write(text)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))
    ratios = [ratio(row) for row in before.values()]
    is_missed = statistics.median(ratios) > 0.7 or max(ratios) > 1.0
    return int(options.check and is_missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
