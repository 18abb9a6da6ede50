"""The page may load from its own server only, and run nothing inline."""

import pytest

from serve_app.page.policy import SPACE_FRAMES, content_security_policy


def directives(policy: str) -> dict[str, list[str]]:
    return {
        name: sources
        for name, *sources in (each.split(" ") for each in policy.split("; "))
    }


def test_everything_comes_from_the_page_s_own_origin() -> None:
    found = directives(content_security_policy())
    assert found["default-src"] == ["'none'"]
    for name in ("script-src", "style-src", "connect-src", "img-src"):
        assert found[name] == ["'self'"]
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert found[name] == ["'none'"]


@pytest.mark.parametrize("stores", [(), ("https://b.s3.example",)])
@pytest.mark.parametrize("frames", [(), SPACE_FRAMES])
def test_nothing_is_ever_unsafe(
    stores: tuple[str, ...], frames: tuple[str, ...]
) -> None:
    policy = content_security_policy(stores, frames)
    assert "unsafe" not in policy
    assert "data:" not in policy
    assert "blob:" not in policy


def test_the_player_may_read_stems_where_their_urls_lead() -> None:
    found = directives(content_security_policy(["https://a.example:9000"]))
    assert found["connect-src"] == ["'self'", "https://a.example:9000"]
    assert found["script-src"] == ["'self'"]


def test_a_space_may_show_the_page_in_its_frame() -> None:
    found = directives(content_security_policy((), SPACE_FRAMES))
    assert found["frame-ancestors"] == ["https://huggingface.co", "https://*.hf.space"]
