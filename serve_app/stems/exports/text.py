"""Text that is safe in XML, cue sheets and tags, whatever a title holds."""

import re

# Control characters, lone surrogates and the two that XML 1.0 (2.2) has no place for.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")


def plain(text: str) -> str:
    """Return the text in one line, without control characters."""
    return _UNWANTED.sub(" ", text).strip()
