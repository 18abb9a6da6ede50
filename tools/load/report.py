"""The report of a run, as a dictionary for JSON and as a page."""

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools.load.footprint import UNITS, Footprint
from tools.load.measures import Call, Measures, percentile
from tools.load.profile import Profile

# The server still fills its pools and caches in the first minute.
_WARM_UP_SECONDS = 60.0
_SHARES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
_COLUMNS = ("responses", "per_second", *_SHARES, "refused", "errors")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Load of {url}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; }}
table {{ border-collapse: collapse; margin: 1em 0; }}
td, th {{ border-bottom: 1px solid #ccc; padding: .3em .8em; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
.bad {{ color: #b00020; }} svg {{ background: #f6f6f6; }}
</style></head><body>
<h1>Load of {url}</h1>
<p>{facts}</p>
{problems}
<table><tr>{heads}</tr>
{rows}
</table>
{footprint}
{errors}
</body></html>
"""


def report(
    url: str,
    profile: Profile,
    measures: Measures,
    footprint: Footprint,
    strikes: Mapping[str, int],
) -> dict[str, Any]:
    """Return the report of a run; `problems` are the limits that it exceeded."""
    calls = {
        name: _row(call, measures.seconds)
        for name, call in sorted(measures.calls.items())
    }
    since_seconds = profile.ramp_seconds + _WARM_UP_SECONDS
    found: dict[str, Any] = {
        "url": url,
        "generator": measures.generator,
        "generator_cpu_percent": round(100 * measures.cpu_share, 1),
        "seconds": round(measures.seconds, 1),
        "profile": profile.model_dump(),
        "calls": calls,
        "killed": dict(strikes),
        "footprint": _taken(footprint, since_seconds),
        "kept_growths_per_minute": [
            (name, round(growth, 2))
            for name, growth in footprint.kept_growths(since_seconds)
        ],
        "errors": {
            name: call.examples for name, call in measures.calls.items() if call.errors
        },
    }
    problems = [*_problems(found, profile), *_unseen(footprint)]
    return {**found, "problems": problems}


def page(found: Mapping[str, Any]) -> str:
    """Return a report as HTML."""
    heads = "".join(f"<th>{name}</th>" for name in ("call", *_COLUMNS))
    facts = (
        f"{found['generator']}, {found['seconds']} s after the ramp; the generator "
        f"took {found['generator_cpu_percent']} % of a core."
    )
    return _PAGE.format(
        url=html.escape(found["url"]),
        facts=html.escape(facts),
        problems=_list("Limits exceeded", found["problems"]),
        heads=heads,
        rows="\n".join(_cells(name, row) for name, row in found["calls"].items()),
        footprint="".join(
            _drawn(name, found["footprint"][name]) for name in found["footprint"]
        ),
        errors="".join(_list(name, texts) for name, texts in found["errors"].items()),
    )


def table(found: Mapping[str, Any]) -> str:
    """Return the calls of a report as a table of Markdown."""
    lines = [f"| call | {' | '.join(_COLUMNS)} |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for name, row in found["calls"].items():
        lines.append(f"| {name} | {' | '.join(str(row[each]) for each in _COLUMNS)} |")
    return "\n".join(lines)


def _row(call: Call, seconds: float) -> dict[str, float]:
    times = {
        name: round(1000 * percentile(call.seconds, share), 1)
        for name, share in _SHARES.items()
    }
    count = len(call.seconds)
    counts = {"responses": count, "per_second": round(count / seconds, 2)}
    return {**counts, **times, "refused": call.refused, "errors": call.errors}


def _problems(found: Mapping[str, Any], profile: Profile) -> Iterator[str]:
    """Yield a line for each limit that a run exceeded."""
    limits, calls = profile.limits, found["calls"]
    errors = sum(row["errors"] for row in calls.values())
    if errors > limits.errors:
        yield f"{errors} errors, and the limit is {limits.errors}"
    for name, most_ms in limits.p99_ms.items():
        row = calls.get(name)
        if row is None or not row["responses"]:
            yield f"no response to {name}"
        elif row["p99_ms"] > most_ms:
            p99_ms = row["p99_ms"]
            yield f"p99 of {name} is {p99_ms} ms, and the limit is {most_ms:g} ms"
    for name, most in limits.growth_per_minute.model_dump().items():
        growth = found["footprint"].get(name, {}).get("per_minute")
        if most is not None and growth is not None and growth > most:
            unit = f" {UNITS[name]}".rstrip()
            yield f"{name} grows by {growth}{unit} a minute, and the limit is {most:g}"
    for name, most in limits.left.model_dump().items():
        left = found["footprint"].get(name, {}).get("left")
        if most is not None and left is not None and left > most:
            unit = f" {UNITS[name]}".rstrip()
            yield f"{left}{unit} more of {name} are left, and the limit is {most:g}"


def _unseen(footprint: Footprint) -> Iterator[str]:
    """Yield a line if samples of the footprint are missing."""
    if failures := footprint.failures:
        yield f"{len(failures)} samples of the footprint failed: {failures[0]}"


def _taken(footprint: Footprint, since_seconds: float) -> dict[str, Any]:
    """Return each thing's peak, its growth since a time, and its samples."""
    return {
        name: {
            "peak": round(max(values), 1),
            "per_minute": _rounded(footprint.growth_per_minute(name, since_seconds)),
            "left": _rounded(footprint.left(name)),
            "samples": _pairs(footprint.at_seconds, values),
        }
        for name, values in footprint.values.items()
        if values
    }


def _pairs(
    at_seconds: Sequence[float], values: Sequence[float]
) -> list[tuple[float, float]]:
    pairs = zip(at_seconds, values, strict=True)
    return [(round(at, 1), round(value, 1)) for at, value in pairs]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _cells(name: str, row: Mapping[str, Any]) -> str:
    cells = "".join(f"<td{_bad(each, row[each])}>{row[each]}</td>" for each in _COLUMNS)
    return f"<tr><td>{html.escape(name)}</td>{cells}</tr>"


def _bad(column: str, value: float) -> str:
    return ' class="bad"' if column == "errors" and value else ""


def _list(title: str, texts: Sequence[str]) -> str:
    if not texts:
        return ""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return f'<h2 class="bad">{html.escape(title)}</h2><ul>{items}</ul>'


def _drawn(name: str, found: Mapping[str, Any]) -> str:
    """Return one thing over time as a picture, from zero to its peak."""
    samples, top = found["samples"], found["peak"] or 1
    if len(samples) < 2:
        return ""
    end, growth = samples[-1][0], found["per_minute"]
    points = " ".join(
        f"{600 * at / end:.1f},{150 - 140 * value / top:.1f}" for at, value in samples
    )
    slope = "" if growth is None else f"; {growth} a minute after the first one"
    unit = f" {UNITS[name]}".rstrip()
    return (
        f"<h2>{name}: at most {found['peak']:g}{unit}{slope}</h2>"
        f'<svg width="600" height="150" role="img"><polyline fill="none" '
        f'stroke="#0057b8" stroke-width="2" points="{points}"/></svg>'
    )
