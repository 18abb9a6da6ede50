"""Players fetch all that a playlist names through this server."""

from urllib.parse import quote, unquote

import pytest

from serve_app.archive.errors import SourceFailed
from serve_app.archive.http.streaming import playlists

URL = "https://cdn.example.com/show/ep5/index.m3u8?token=a%2Fb"


def proxied(url: str) -> str:
    return f"https://media.example.com/arch/proxy?url={quote(url, safe='')}"


def rewritten(*lines: str) -> list[str]:
    body = "\n".join(["#EXTM3U", *lines]).encode()
    return playlists.rewritten(body, URL, proxied).decode().split("\n")[1:]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("seg1.ts", "https://cdn.example.com/show/ep5/seg1.ts"),
        ("../seg1.ts?x=1&y=2", "https://cdn.example.com/show/seg1.ts?x=1&y=2"),
        ("/root.ts", "https://cdn.example.com/root.ts"),
        ("//other.example.com/a.ts", "https://other.example.com/a.ts"),
        ("http://other.example.com/a.ts", "http://other.example.com/a.ts"),
        ("?page=2", "https://cdn.example.com/show/ep5/index.m3u8?page=2"),
        ("a b/한.ts", "https://cdn.example.com/show/ep5/a%20b/%ED%95%9C.ts"),
        ("a%20b+c.ts", "https://cdn.example.com/show/ep5/a%20b+c.ts"),
        ("seg1.ts\r", "https://cdn.example.com/show/ep5/seg1.ts"),
    ],
)
def test_uris_are_resolved_and_encoded_once(uri: str, expected: str) -> None:
    (line,) = rewritten(uri)
    assert line == proxied(expected)
    assert unquote(line.partition("url=")[2]) == expected


def test_uris_in_tags_are_rewritten_too() -> None:
    found = rewritten(
        '#EXT-X-KEY:METHOD=AES-128,URI="key.bin",IV=0x00',
        '#EXT-X-MAP:URI="init.mp4",BYTERANGE="10@0"',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="URI=x",URI="audio/a.m3u8"',
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i.m3u8"',
        '#EXT-X-DATERANGE:ID="1",X-ASSET-URI="https://ads.example.com/ad.m3u8"',
    )
    base = "https://cdn.example.com/show/ep5/"
    assert found == [
        f'#EXT-X-KEY:METHOD=AES-128,URI="{proxied(base + "key.bin")}",IV=0x00',
        f'#EXT-X-MAP:URI="{proxied(base + "init.mp4")}",BYTERANGE="10@0"',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="URI=x",'
        f'URI="{proxied(base + "audio/a.m3u8")}"',
        f'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="{proxied(base + "i.m3u8")}"',
        '#EXT-X-DATERANGE:ID="1",X-ASSET-URI="'
        f'{proxied("https://ads.example.com/ad.m3u8")}"',
    ]


def test_other_lines_stay_as_they_are() -> None:
    lines = ["#EXT-X-VERSION:6", "#EXTINF:4.0,A title, with a comma", "", "# seg.ts"]
    assert rewritten(*lines) == lines


def test_only_uris_of_data_are_kept() -> None:
    """Others lead to the proxy, which refuses what is not http."""
    data = '#EXT-X-KEY:METHOD=AES-128,URI="data:text/plain;base64,AAAA"'
    assert rewritten(data) == [data]
    for uri in ("skd://asset", "javascript:alert(1)", "file:///etc/passwd"):
        assert rewritten(uri) == [proxied(uri)]
        [line] = rewritten(f'#EXT-X-KEY:METHOD=AES-128,URI="{uri}"')
        assert line == f'#EXT-X-KEY:METHOD=AES-128,URI="{proxied(uri)}"'


def test_a_playlist_may_begin_with_a_byte_order_mark() -> None:
    body = b"\xef\xbb\xbf#EXTM3U\r\na.ts\r\n"
    expected = f"#EXTM3U\n{proxied('https://cdn.example.com/show/ep5/a.ts')}\n"
    assert playlists.rewritten(body, URL, proxied) == expected.encode()


@pytest.mark.parametrize("body", [b"<html>", b"", b"a.ts\n#EXTM3U"])
def test_what_is_no_playlist_is_refused(body: bytes) -> None:
    with pytest.raises(SourceFailed, match="something else"):
        playlists.rewritten(body, URL, proxied)


def test_a_playlist_that_would_fill_the_memory_is_refused() -> None:
    body = b"#EXTM3U\n" + b"a\n" * (playlists.MAX_BYTES // 2 - 4)
    with pytest.raises(SourceFailed, match="too large"):
        playlists.rewritten(body, "https://cdn.example.com/" + "x/" * 500, proxied)


def test_a_uri_that_is_no_url_is_refused() -> None:
    with pytest.raises(SourceFailed, match="not a valid URL"):
        rewritten("http://[::1/a.ts")
