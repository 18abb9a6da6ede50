"""The Content-Security-Policy of the page."""

from collections.abc import Sequence

# Who shows a Space in a frame: its page at the Hub, and the Space's own host.
SPACE_FRAMES = ("https://huggingface.co", "https://*.hf.space")


def content_security_policy(
    stores: Sequence[str] = (), frames: Sequence[str] = ()
) -> str:
    """Return the policy: everything comes from the page's own origin, nothing inline.

    `stores` are the origins of stems with signed URLs, which the player reads, and
    `frames` those that may show the page in a frame.
    """
    directives = {
        "default-src": ("'none'",),
        "script-src": ("'self'",),
        "style-src": ("'self'",),
        "img-src": ("'self'",),
        "font-src": ("'self'",),
        "connect-src": ("'self'", *stores),
        "base-uri": ("'none'",),
        "form-action": ("'none'",),
        "frame-ancestors": tuple(frames) or ("'none'",),
    }
    return "; ".join(f"{name} {' '.join(each)}" for name, each in directives.items())
