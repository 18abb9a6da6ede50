"""Playlists are read as RFC 8216 has them; others fail with the reason."""

import gc
import time
import timeit
from collections.abc import Callable

import pytest

from serve_app.archive.downloads import playlist
from serve_app.archive.downloads.playlist import Encryption, Master, MediaPlaylist
from serve_app.archive.errors import BrokenMedia, LiveMedia, ProtectedMedia
from serve_app.errors import RefusedUrl
from serve_app.outbound.partial_file import ByteRange
from tests import hls

URL = "https://cdn.example.com/v/index.m3u8?token=1"


def media(*uris: str, head: str = "", seconds: float = 4.0) -> MediaPlaylist:
    found = playlist.parse(hls.playlist(uris, seconds, head), URL)
    assert isinstance(found, MediaPlaylist)
    return found


def master(*lines: str) -> Master:
    found = playlist.parse(hls.master(*lines), URL)
    assert isinstance(found, Master)
    return found


def variant(height: int | None, bandwidth: int, uri: str, more: str = "") -> str:
    size = "" if height is None else f",RESOLUTION=1x{height}"
    return f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}{size}{more}\n{uri}"


def test_uris_become_absolute() -> None:
    uris = ["a.ts", "/b.ts", "//o.example/c.ts", "http://p.example/d.ts?x=1", "é ü.ts"]
    found = [segment.resource.url for segment in media(*uris).segments]
    assert found == [
        "https://cdn.example.com/v/a.ts",
        "https://cdn.example.com/b.ts",
        "https://o.example/c.ts",
        "http://p.example/d.ts?x=1",
        "https://cdn.example.com/v/%C3%A9%20%C3%BC.ts",
    ]


def test_a_uri_that_is_none_is_refused() -> None:
    with pytest.raises(RefusedUrl, match="invalid URL"):
        media("http://[nonsense/a.ts")


def test_durations_are_summed() -> None:
    assert media("a.ts", "b.ts", seconds=4.004).seconds == pytest.approx(8.008)


@pytest.mark.parametrize(
    ("uris", "head", "seconds"),
    [
        (["a", "b"], "", 0.5),
        (["a", "#EXT-X-DISCONTINUITY\nb", "#EXT-X-DISCONTINUITY\nc"], "", 0.7),
        (["#EXT-X-DISCONTINUITY\na", "b"], "", 0.5),
        (["a", "b"], "#EXT-X-VERSION:2", 1.5),
    ],
)
def test_the_tolerance_is_a_tenth_of_a_second_for_each_discontinuity(
    uris: list[str], head: str, seconds: float
) -> None:
    assert media(*uris, head=head).tolerance_seconds == pytest.approx(seconds)


def test_byte_ranges_follow_each_other() -> None:
    found = media(
        "#EXT-X-BYTERANGE:10@5\na.ts", "#EXT-X-BYTERANGE:20\na.ts", "b.ts"
    ).segments
    assert [segment.resource.range for segment in found] == [
        *(ByteRange(5, 10), ByteRange(15, 20), ByteRange()),
    ]


def test_the_iv_is_the_keys_or_else_the_number() -> None:
    found = media(
        '#EXT-X-KEY:METHOD=AES-128,URI="k1"\na.ts',
        f'#EXT-X-KEY:METHOD=AES-128,URI="k2",IV=0x{7:032x}\nb.ts',
        "c.ts",
        "#EXT-X-KEY:METHOD=NONE\nd.ts",
        head="#EXT-X-MEDIA-SEQUENCE:258",
    ).segments
    keys = [segment.resource.encryption for segment in found]
    base = "https://cdn.example.com/v/"
    assert keys == [
        Encryption(f"{base}k1", (258).to_bytes(16, "big")),
        Encryption(f"{base}k2", (7).to_bytes(16, "big")),
        Encryption(f"{base}k2", (7).to_bytes(16, "big")),
        None,
    ]


def test_a_map_is_encrypted_by_the_key_before_it() -> None:
    found = media(
        '#EXT-X-MAP:URI="m1",BYTERANGE="9"\na',
        f'#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x{1:032x}\nb',
        '#EXT-X-MAP:URI="m2",BYTERANGE="9@3"\nc',
    ).segments
    first, same, other = (segment.map for segment in found)
    assert first is not None
    assert other is not None
    assert first == same
    assert (first.range, first.encryption) == (ByteRange(0, 9), None)
    assert other.range == ByteRange(3, 9)
    assert other.encryption is not None


def test_a_finished_event_and_a_vod_without_an_end_are_no_live_streams() -> None:
    playlist.parse(hls.playlist(["a"], head="#EXT-X-PLAYLIST-TYPE:EVENT"), URL)
    playlist.parse(hls.playlist(["a"], head="#EXT-X-PLAYLIST-TYPE:VOD", end=""), URL)


@pytest.mark.parametrize("head", ["", "#EXT-X-PLAYLIST-TYPE:EVENT"])
def test_a_live_playlist_is_refused_with_the_reason(head: str) -> None:
    with pytest.raises(LiveMedia, match=r"no end yet .*Live streams are not archived"):
        playlist.parse(hls.playlist(["a"], head=head, end=""), URL)


@pytest.mark.parametrize(
    "key",
    [
        'METHOD=SAMPLE-AES,URI="k"',
        'METHOD=SAMPLE-AES-CTR,URI="k"',
        'METHOD=AES-128,URI="k",KEYFORMAT="com.apple.streamingkeydelivery"',
        'METHOD=AES-256,URI="k"',
        'URI="k"',
    ],
)
def test_protected_media_is_refused(key: str) -> None:
    with pytest.raises(ProtectedMedia, match="Protected media is not fetched"):
        media(f"#EXT-X-KEY:{key}\na.ts")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "does not begin with #EXTM3U"),
        (b"#EXTM3U\n#\xff\xfe", "not UTF-8"),
        (b"#EXTM3U\n#EXT-X-ENDLIST", "no segments"),
        (hls.master("#EXT-X-STREAM-INF:BANDWIDTH=1"), "no variants"),
        (hls.master("#EXT-X-STREAM-INF:BANDWIDTH=x", "a"), "malformed"),
        (hls.master("#EXT-X-STREAM-INF:RESOLUTION=big", "a"), "malformed"),
        (hls.playlist(["a"]).replace(b"1.000", b"long"), "malformed"),
        (hls.playlist(["a"]).replace(b"1.000", b"nan"), "no valid duration"),
        (hls.playlist(["a"]).replace(b"1.000", b"-1"), "no valid duration"),
        (hls.playlist(["#EXT-X-GAP\na"]), "lacks segment 0"),
        (hls.playlist(["#EXT-X-BYTERANGE:5\na"]), "no offset"),
        (hls.playlist(["#EXT-X-BYTERANGE:5@1\na", "#EXT-X-BYTERANGE:5\nb"]), "offset"),
        (hls.playlist(["#EXT-X-BYTERANGE:0@1\na"]), "not a valid byte range"),
        (hls.playlist(["#EXT-X-BYTERANGE:five\na"]), "not a valid byte range"),
        (hls.playlist(["#EXT-X-KEY:METHOD=AES-128\na"]), "malformed"),
        (hls.playlist(['#EXT-X-KEY:METHOD=AES-128,URI="k",IV=7\na']), "vector"),
        (hls.playlist(["#EXT-X-KEY:nonsense\na"]), "malformed"),
        (hls.playlist(["#EXT-X-MAP:NAME=1\na"]), "malformed"),
        (
            hls.playlist(['#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXT-X-MAP:URI="m"\na']),
            "without an IV",
        ),
        (hls.playlist(["a"], head="#EXT-X-MEDIA-SEQUENCE:one"), "malformed"),
        (b"#EXTM3U\n#EXT-X-ENDLIST\n#EXT-X-BITRATE\na", "malformed"),
    ],
)
def test_a_broken_playlist_fails_with_the_reason(body: bytes, words: str) -> None:
    with pytest.raises(BrokenMedia, match=words):
        playlist.parse(body, URL)


def seconds(work: Callable[[], object]) -> float:
    """The least of three, without the garbage of the tests before."""
    gc.disable()
    try:
        return min(timeit.repeat(work, timer=time.thread_time, number=1, repeat=3))
    finally:
        gc.enable()


def test_too_many_segments_are_refused_at_once() -> None:
    body = hls.playlist(["a"] * 100_000)

    def refused() -> None:
        with pytest.raises(BrokenMedia, match="has 100000 segments; at most 10000"):
            playlist.parse(body, URL)

    assert seconds(refused) < 0.5


def test_a_key_for_each_segment_takes_no_square_of_time() -> None:
    def parsed(count: int) -> None:
        keys = [f'#EXT-X-KEY:METHOD=AES-128,URI="k{n}"\na{n}' for n in range(count)]
        assert len(media(*keys).segments) == count

    assert seconds(lambda: parsed(8000)) < 16 * seconds(lambda: parsed(1000))


@pytest.mark.parametrize(
    ("max_height", "chosen"),
    [(0, "uhd"), (2160, "uhd"), (1080, "hd2"), (800, "sd"), (100, "sd")],
)
def test_the_best_variant_under_the_maximum_is_chosen(
    max_height: int, chosen: str
) -> None:
    found = master(
        variant(1080, 500, "hd1"),
        variant(1080, 900, "hd2"),
        variant(480, 300, "sd"),
        variant(2160, 800, "uhd"),
        variant(None, 9999, "unknown"),
    )
    assert playlist.best(found, max_height).url.endswith(f"/{chosen}")


def test_without_sizes_the_bandwidth_decides() -> None:
    found = master(variant(None, 5, "a"), variant(None, 9, "b"))
    assert playlist.best(found, 720).url.endswith("/b")


@pytest.mark.parametrize(
    ("renditions", "chosen"),
    [
        (['GROUP-ID="x",URI="first"', 'GROUP-ID="x",URI="best",DEFAULT=YES'], "best"),
        (['GROUP-ID="x",URI="first"', 'GROUP-ID="x",URI="second"'], "first"),
        (['GROUP-ID="y",URI="other"'], None),
        (['GROUP-ID="x",DEFAULT=YES', 'GROUP-ID="x",URI="dubbed"'], None),
    ],
)
def test_a_variants_audio_is_the_default_or_the_first_of_its_group(
    renditions: list[str], chosen: str | None
) -> None:
    tags = [f'#EXT-X-MEDIA:TYPE=AUDIO,NAME="n",{each}' for each in renditions]
    subtitles = '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="x",NAME="s",URI="s"'
    found = master(subtitles, *tags, variant(1, 1, "v", ',AUDIO="x"'))
    url = playlist.audio_url(found, found.variants[0])
    expected = chosen and f"https://cdn.example.com/v/{chosen}"
    assert url == expected
