"""The header `traceparent` of W3C Trace Context, which also is a column of jobs."""

import re

HEADER = "traceparent"

# All of version 00; later versions may add fields.
_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}"
    r"-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED = 1


def written(trace_id: int, span_id: int, flags: int) -> str:
    """Return the header for a span, which has version 00."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & 0xFF:02x}"


def accepted(header: str) -> str:
    """Return a client's header as version 00, or "" if it is invalid or absent."""
    found = _FORM.fullmatch(header)
    if found is None or (header.startswith("00") and found["more"]):
        return ""
    return f"00-{found['trace']}-{found['span']}-{found['flags']}"


def parsed(traceparent: str) -> tuple[int, int, int]:
    """Return the ids of the trace and of the span, and the flags.

    Raises ValueError if it is not of version 00.
    """
    _, trace_id, span_id, flags = traceparent.split("-")
    return int(trace_id, 16), int(span_id, 16), int(flags, 16)


def sampled_trace_id(traceparent: str) -> str:
    """Return the id of the trace in hexadecimal digits, or "" if it is not sampled."""
    if not traceparent:
        return ""
    _, trace_id, _, flags = traceparent.split("-")
    return trace_id if int(flags, 16) & _SAMPLED else ""
