"""The header is read as W3C Trace Context says, and written as version 00."""

import pytest

from serve_app.api import traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (VALID, VALID),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        # A later version may have more fields, which are dropped.
        (f"01-{TRACE}-{SPAN}-01", VALID),
        (f"cc-{TRACE}-{SPAN}-01-what-comes", VALID),
        (f"{VALID}-more", ""),
        (f"cc-{TRACE}-{SPAN}-01more", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE.upper()}-{SPAN}-01", ""),
        (f"00-{TRACE[1:]}-{SPAN}-01", ""),
        (f"{VALID}\n", ""),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_only_a_valid_header_is_accepted(header: str, accepted: str) -> None:
    assert traceparent.accepted(header) == accepted


def test_what_is_written_can_be_read() -> None:
    trace_id, span_id, flags = traceparent.parsed(VALID)
    assert traceparent.written(trace_id, span_id, flags) == VALID
    assert len(VALID) == 55, "the width of its column"


@pytest.mark.parametrize(
    ("flags", "trace_id"), [("01", TRACE), ("03", TRACE), ("00", ""), ("02", "")]
)
def test_a_trace_that_is_not_sampled_has_no_id_to_look_for(
    flags: str, trace_id: str
) -> None:
    header = f"00-{TRACE}-{SPAN}-{flags}"
    assert traceparent.sampled_trace_id(header) == trace_id
    assert traceparent.sampled_trace_id("") == ""
