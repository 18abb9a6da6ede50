"""Sanitising of titles for XML, cue sheets and tags."""

import re

# Control characters, lone surrogates, and two that XML 1.0 (section 2.2) excludes.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")


def plain(text: str) -> str:
    """Return the text on one line, without control characters."""
    return _UNWANTED.sub(" ", text).strip()
