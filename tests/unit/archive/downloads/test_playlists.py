"""A playlist's segments become one MP4, the same bytes whatever happened on the way."""

import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import av
import pytest

from serve_app.archive.errors import (
    BrokenMedia,
    DiskFull,
    LiveMedia,
    MediaTooLarge,
    NotMedia,
    ProtectedMedia,
    SourceBusy,
    SourceFailed,
)
from serve_app.errors import AppError, Cancelled, RefusedUrl
from tests import hls
from tests import origin as origins
from tests.disks import SmallDisk
from tests.hls import Clip
from tests.origin import Origin, Trouble
from tests.unit.archive.downloads import samples
from tests.unit.archive.downloads.conftest import Desk

KEY = bytes(range(16))
BOTH = [("video", "h264"), ("audio", "aac")]


def add(origin: Origin, *segments: bytes, **how: str) -> str:
    """Serve a playlist of segments of a second; return its URL."""
    uris = []
    for number, data in enumerate(segments):
        origin.add(f"/v/{number}.ts", data)
        uris.append(f"{number}.ts")
    return origin.add("/v/index.m3u8", hls.playlist(uris, **how))  # type: ignore[arg-type]


def retag(origin: Origin, *uris: str, **how: str) -> str:
    """Serve another playlist in its place."""
    return origin.add("/v/index.m3u8", hls.playlist(uris, **how))  # type: ignore[arg-type]


def test_segments_become_one_mp4_with_its_index_in_front(
    origin: Origin, desk: Desk
) -> None:
    seen: list[float] = []
    found = desk.fetch(samples.add_stream(origin), report=seen.append)
    assert (found.media_type, found.extension) == ("video/mp4", "mp4")
    assert found.duration_seconds == pytest.approx(4.0, abs=0.1)
    data = found.path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    assert hls.streams(found.path) == BOTH
    assert hls.decoded_frames(found.path) == 100
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_nothing_is_encoded_anew(origin: Origin, desk: Desk) -> None:
    """The sound's frames are the segments' own, without their headers."""
    found = desk.fetch(samples.add_stream(origin))
    with av.open(str(found.path)) as container:
        muxed = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    Path(desk.folder / "0.ts").write_bytes(samples.segments()[0])
    with av.open(str(desk.folder / "0.ts")) as container:
        first = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert muxed[: len(first)] == [frame[7:] for frame in first]


def test_the_same_playlist_makes_the_same_bytes(
    origin: Origin, desk: Desk, tmp_path: Path
) -> None:
    url = samples.add_stream(origin)
    first = desk.fetch(url).path.read_bytes()
    time.sleep(1.1)
    other = Desk(tmp_path / "other", desk.client).fetch(url, key="another")
    assert other.path.read_bytes() == first


def test_a_playlist_is_recognised_without_its_name(origin: Origin, desk: Desk) -> None:
    samples.add_stream(origin)
    body = origin.replies["/v/index.m3u8"].body
    found = desk.fetch(origin.add("/v/watch", body))
    assert hls.decoded_frames(found.path) == 100


def test_a_name_of_a_playlist_does_not_make_one(origin: Origin, desk: Desk) -> None:
    with pytest.raises(NotMedia, match="a web page or XML instead of a playlist"):
        desk.fetch(origin.add("/index.m3u8", b"<html>"))


def test_the_base_of_uris_is_where_a_redirect_led(origin: Origin, desk: Desk) -> None:
    headers = {"Location": samples.add_stream(origin)}
    found = desk.fetch(origin.add("/go.m3u8", b"", status=302, headers=headers))
    assert hls.decoded_frames(found.path) == 100


def test_cuts_errors_and_stalls_change_no_byte_and_cost_little(
    origin: Origin, desk: Desk, tmp_path: Path
) -> None:
    undisturbed = desk.fetch(samples.add_stream(origin)).path.read_bytes()
    content = origin.sent_bytes
    troubled = Origin(Trouble(seed=5, cuts=0.3, stalls=0.1, errors=0.1))
    here = Desk(tmp_path / "here", desk.client).with_limits(stall_seconds=0.3)
    try:
        found = here.fetch(samples.add_stream(troubled))
    finally:
        troubled.close()
    assert found.path.read_bytes() == undisturbed
    assert len(troubled.requests) > 5
    assert troubled.sent_bytes <= 1.3 * content


def test_segments_are_kept_when_a_download_fails(origin: Origin, desk: Desk) -> None:
    url = samples.add_stream(origin)
    origin.replies["/v/3.ts"].statuses = [404]
    with pytest.raises(SourceFailed, match="404"):
        desk.with_limits(segments_at_once=1).fetch(url)
    found = desk.fetch(url)
    assert hls.decoded_frames(found.path) == 100
    counts = Counter(origin.paths())
    assert [counts[f"/v/{number}.ts"] for number in range(4)] == [1, 1, 1, 2]


def test_four_segments_are_fetched_at_a_time(origin: Origin, desk: Desk) -> None:
    url = samples.add_stream(origin, 8)
    for number in range(8):
        origin.replies[f"/v/{number}.ts"].pause_seconds = 0.3
    desk.fetch(url)
    assert origin.most_at_once == 4


def test_rotated_tokens_fetch_nothing_again(origin: Origin, desk: Desk) -> None:
    samples.add_stream(origin)
    url = retag(origin, *(f"{number}.ts?token=1" for number in range(4)))
    desk.fetch(f"{url}?token=1")
    retag(origin, *(f"{number}.ts?token=2" for number in range(4)))
    desk.fetch(f"{url}?token=2")
    counts = Counter(origin.paths())
    assert [counts[f"/v/{number}.ts"] for number in range(4)] == [1, 1, 1, 1]


def test_tokens_in_the_paths_fetch_nothing_again(origin: Origin, desk: Desk) -> None:
    samples.add_stream(origin)
    first = desk.fetch(f"{origin.url}/v/index.m3u8").path.read_bytes()
    sent = origin.sent_bytes
    for number in range(4):
        origin.add(f"/v/new/{number}.ts", samples.segments()[number])
    url = retag(origin, *(f"new/{number}.ts" for number in range(4)))
    again = desk.fetch(url)
    assert again.path.read_bytes() == first
    assert origin.sent_bytes - sent < 500


def test_another_playlist_begins_anew(origin: Origin, desk: Desk) -> None:
    desk.fetch(samples.add_stream(origin))
    found = desk.fetch(retag(origin, "2.ts", "3.ts"))
    assert hls.decoded_frames(found.path) == 50
    counts = Counter(origin.paths())
    assert [counts[f"/v/{number}.ts"] for number in range(4)] == [1, 1, 2, 2]


def test_a_damaged_segment_is_fetched_again(origin: Origin, desk: Desk) -> None:
    url = samples.add_stream(origin)
    first = desk.fetch(url).path.read_bytes()
    segment = next(desk.folder.rglob("00002"))
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")
    assert desk.fetch(url).path.read_bytes() == first
    assert Counter(origin.paths())["/v/2.ts"] == 2


def test_a_discontinuity_goes_on_where_the_last_part_ended(
    origin: Origin, desk: Desk
) -> None:
    first, second = samples.segments()[:2]
    other = samples.segment(start_seconds=700.0, seed=9)
    add(origin, first, second, other, other)
    url = retag(
        origin,
        "0.ts",
        "1.ts",
        "#EXT-X-DISCONTINUITY\n2.ts",
        "#EXT-X-DISCONTINUITY\n3.ts",
    )
    found = desk.fetch(url)
    assert found.duration_seconds == pytest.approx(4.0, abs=0.3)
    with av.open(str(found.path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(times) == 100
    assert min(gaps) > 0
    assert max(gaps) < 0.15


def test_fragments_with_a_map_become_one_mp4(origin: Origin, desk: Desk) -> None:
    head, pieces = samples.fragments()
    origin.add("/v/map.mp4", head)
    add(origin, *pieces, head='#EXT-X-MAP:URI="map.mp4"')
    found = desk.fetch(f"{origin.url}/v/index.m3u8")
    assert hls.streams(found.path) == BOTH
    assert hls.decoded_frames(found.path) == 75
    assert Counter(origin.paths())["/v/map.mp4"] == 1


def test_fragments_may_be_ranges_of_one_file(origin: Origin, desk: Desk) -> None:
    head, pieces = samples.fragments()
    whole = head + b"".join(pieces)
    origin.add("/v/all.mp4", whole, cut_after=[None, 3000, 10])
    tags = [f"#EXT-X-BYTERANGE:{len(pieces[0])}@{len(head)}\nall.mp4"]
    tags += [f"#EXT-X-BYTERANGE:{len(piece)}\nall.mp4" for piece in pieces[1:]]
    first = f'#EXT-X-MAP:URI="all.mp4",BYTERANGE="{len(head)}"'
    found = desk.fetch(origin.add("/v/index.m3u8", hls.playlist(tags, head=first)))
    assert hls.decoded_frames(found.path) == 75
    assert origin.sent_of("/v/all.mp4") == len(whole)


def test_a_server_without_ranges_can_not_give_ranges(
    origin: Origin, desk: Desk
) -> None:
    origin.add("/v/all.ts", samples.segments()[0] * 2, has_ranges=False)
    url = retag(origin, "#EXT-X-BYTERANGE:188@0\nall.ts")
    with pytest.raises(SourceFailed, match="the whole file instead of a range"):
        desk.fetch(url)


def test_several_maps_may_follow_each_other(origin: Origin, desk: Desk) -> None:
    uris = []
    for seed in range(2):
        head, pieces = samples.fragments(2, seed)
        origin.add(f"/v/map{seed}.mp4", head)
        tags = f'#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="map{seed}.mp4"\n'
        for number, piece in enumerate(pieces):
            origin.add(f"/v/{seed}-{number}.m4s", piece)
            uris.append(f"{tags if number == 0 else ''}{seed}-{number}.m4s")
    found = desk.fetch(retag(origin, *uris))
    assert hls.decoded_frames(found.path) == 100
    assert found.duration_seconds == pytest.approx(4.0, abs=0.2)


def test_maps_with_other_parameters_are_refused(origin: Origin, desk: Desk) -> None:
    uris = []
    for number, size in enumerate([(128, 96), (64, 48)]):
        head, pieces = hls.fragments(1, size=size)
        origin.add(f"/v/map{number}.mp4", head)
        origin.add(f"/v/{number}.m4s", pieces[0])
        tags = f'#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="map{number}.mp4"'
        uris.append(f"{tags}\n{number}.m4s")
    with pytest.raises(BrokenMedia, match=r"parameters of its video \(h264\) change"):
        desk.fetch(retag(origin, *uris))


def test_a_separate_audio_rendition_is_muxed(origin: Origin, desk: Desk) -> None:
    for kind, clip in (("v", {"audio": None}), ("a", {"video": None})):
        for number, data in enumerate(hls.segments(3, **clip)):
            origin.add(f"/v/{kind}{number}.ts", data)
        uris = [f"{kind}{number}.ts" for number in range(3)]
        origin.add(f"/v/{kind}.m3u8", hls.playlist(uris))
    url = origin.add(
        "/v/master.m3u8",
        hls.master(
            '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="x",NAME="n",DEFAULT=YES,URI="a.m3u8"',
            '#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=128x96,AUDIO="x"\nv.m3u8',
        ),
    )
    found = desk.fetch(url)
    assert hls.streams(found.path) == BOTH
    with av.open(str(found.path)) as container:
        lengths = [float(each.duration * each.time_base) for each in container.streams]
    assert lengths == pytest.approx([3.0, 3.0], abs=0.1)


def test_sound_alone_becomes_an_m4a(origin: Origin, desk: Desk) -> None:
    frames = [hls.encoded(Clip(video=None, seed=number), "adts") for number in range(3)]
    found = desk.fetch(add(origin, *frames))
    assert (found.media_type, found.extension) == ("audio/mp4", "m4a")
    assert hls.streams(found.path) == [("audio", "aac")]


def test_the_best_variant_is_fetched_alone(origin: Origin, desk: Desk) -> None:
    samples.add_stream(origin, 2, "/low")
    samples.add_stream(origin, 2, "/high")
    url = origin.add(
        "/master.m3u8",
        hls.master(
            "#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=1x480\nlow/index.m3u8",
            "#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=1x720\nhigh/index.m3u8",
        ),
    )
    desk.fetch(url)
    assert not any(path.startswith("/low") for path in origin.paths())
    desk.with_limits(max_height=500).fetch(url, key="other")
    assert "/low/1.ts" in origin.paths()


@pytest.mark.parametrize("has_iv", [True, False])
def test_encrypted_segments_are_decrypted(
    origin: Origin, desk: Desk, has_iv: bool
) -> None:
    """With a key for the first two, another for the third, and none for the last."""
    clear = samples.segments()
    plain = desk.fetch(add(origin, *clear), key="plain").path.read_bytes()
    keys = [KEY, KEY, KEY[::-1]]
    for number, key in enumerate(keys):
        iv = KEY if has_iv else (5 + number).to_bytes(16, "big")
        origin.add(f"/v/{number}.ts", hls.encrypted(clear[number], key, iv))
    origin.add("/v/k1", KEY)
    origin.add("/v/k2", KEY[::-1])
    iv = f",IV=0x{KEY.hex()}" if has_iv else ""
    url = retag(
        origin,
        f'#EXT-X-KEY:METHOD=AES-128,URI="k1"{iv}\n0.ts',
        "1.ts",
        f'#EXT-X-KEY:METHOD=AES-128,URI="k2"{iv}\n2.ts',
        "#EXT-X-KEY:METHOD=NONE\n3.ts",
        head="#EXT-X-MEDIA-SEQUENCE:5",
    )
    assert desk.fetch(url, key="encrypted").path.read_bytes() == plain
    assert Counter(origin.paths())["/v/k1"] == 1


def test_an_encrypted_map_is_decrypted(origin: Origin, desk: Desk) -> None:
    head, pieces = samples.fragments()
    origin.add("/v/map", hls.encrypted(head, KEY, KEY))
    origin.add("/v/k", KEY)
    add(origin, *(hls.encrypted(piece, KEY, KEY) for piece in pieces))
    tags = f'#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x{KEY.hex()}\n#EXT-X-MAP:URI="map"'
    url = retag(origin, *(f"{number}.ts" for number in range(3)), head=tags)
    assert hls.decoded_frames(desk.fetch(url).path) == 75


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_key_that_needs_credentials_is_protected(
    origin: Origin, desk: Desk, status: int
) -> None:
    add(origin, *samples.segments())
    origin.add("/v/k", KEY, status=status)
    with pytest.raises(ProtectedMedia):
        desk.fetch(retag(origin, '#EXT-X-KEY:METHOD=AES-128,URI="k"\n0.ts'))
    assert "/v/0.ts" not in origin.paths()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"<html>", "key has 6 bytes instead of 16"),
        (bytes(5000), "at most 1024 bytes"),
        (KEY[::-1], "Segment 0: a segment is data of another type|decrypted"),
    ],
)
def test_a_wrong_key_fails_with_the_reason(
    origin: Origin, desk: Desk, key: bytes, words: str
) -> None:
    add(origin, hls.encrypted(samples.segments()[0], KEY, bytes(16)))
    origin.add("/v/k", key)
    with pytest.raises(BrokenMedia, match=words):
        desk.fetch(retag(origin, '#EXT-X-KEY:METHOD=AES-128,URI="k"\n0.ts'))


def test_a_segment_of_another_codec_fails_with_the_reason(
    origin: Origin, desk: Desk
) -> None:
    other = samples.segment(start_seconds=11.0, video="mpeg2video")
    url = add(origin, samples.segments()[0], other)
    with pytest.raises(BrokenMedia, match="several codecs") as caught:
        desk.fetch(url)
    assert "aac and h264" in caught.value.detail
    assert "aac and mpeg2video" in caught.value.detail


def test_codecs_that_no_mp4_has_fail_with_the_reason(
    origin: Origin, desk: Desk
) -> None:
    fragmented = {"movflags": "+frag_keyframe+empty_moov"}
    clip = Clip(video=None, audio="pcm_alaw")
    url = add(origin, hls.encoded(clip, "mov", **fragmented))
    with pytest.raises(BrokenMedia, match=r"no MP4 can have its codecs \(pcm_alaw\)"):
        desk.fetch(url)


def test_segments_that_last_shorter_than_they_say_are_broken(
    origin: Origin, desk: Desk
) -> None:
    url = add(origin, *samples.segments(), seconds=2.0)  # type: ignore[arg-type]
    with pytest.raises(BrokenMedia, match=r"lasts 4.0 s, but its playlist says 8.0 s"):
        desk.fetch(url)


def test_a_live_playlist_is_refused(origin: Origin, desk: Desk) -> None:
    with pytest.raises(LiveMedia):
        desk.fetch(add(origin, samples.segments()[0], end=""))


@pytest.mark.parametrize(
    "body",
    [
        hls.master("#EXT-X-STREAM-INF:BANDWIDTH=1\nself.m3u8"),
        hls.playlist(["self.m3u8"]),
    ],
)
def test_a_playlist_that_refers_to_itself_is_broken(
    origin: Origin, desk: Desk, body: bytes
) -> None:
    with pytest.raises(BrokenMedia, match=r"refers to itself|is a playlist"):
        desk.fetch(origin.add("/self.m3u8", body))
    assert len(origin.requests) == 2


def test_a_segment_that_is_a_page_is_named(origin: Origin, desk: Desk) -> None:
    url = add(origin, samples.segments()[0], b"<html>expired</html>")
    with pytest.raises(BrokenMedia, match="Segment 1: a segment is a web page"):
        desk.fetch(url)


def test_a_hundred_thousand_segments_fetch_none(origin: Origin, desk: Desk) -> None:
    with pytest.raises(BrokenMedia, match="100000 segments; at most 10000"):
        desk.fetch(origin.add("/a.m3u8", hls.playlist(["a.ts"] * 100_000)))
    assert len(origin.requests) == 1


def test_a_playlist_without_an_end_is_not_read_to_it(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.m3u8", b"#EXTM3U\n" + b"#" * 1_000_000, is_endless=True)
    with pytest.raises(BrokenMedia, match="at most 5000000 bytes"):
        desk.fetch(url)


def test_a_cut_playlist_is_read_again_but_not_for_ever(
    origin: Origin, desk: Desk
) -> None:
    url = samples.add_stream(origin)
    origin.replies["/v/index.m3u8"].cut_after = [50, 60]
    assert desk.fetch(url).size_bytes
    origin.replies["/v/index.m3u8"].cut_after = [50] * 99
    with pytest.raises(SourceFailed):
        desk.fetch(url)
    assert len(origin.replies["/v/index.m3u8"].cut_after) == 95


def test_segments_are_too_large_together(origin: Origin, desk: Desk) -> None:
    url = samples.add_stream(origin)
    size = len(samples.segments()[0])
    with pytest.raises(MediaTooLarge):
        desk.with_limits(max_bytes=2 * size).fetch(url)


def test_a_segment_that_never_ends_stops_at_the_maximum(
    origin: Origin, desk: Desk
) -> None:
    url = samples.add_stream(origin)
    origin.replies["/v/1.ts"].is_endless = True
    with pytest.raises(MediaTooLarge):
        desk.with_limits(max_bytes=5_000_000).fetch(url)


def test_a_busy_source_stops_all_segments(origin: Origin, desk: Desk) -> None:
    url = samples.add_stream(origin, 8)
    origin.replies["/v/1.ts"].statuses = [503]
    for number in (0, 2, 3):
        origin.replies[f"/v/{number}.ts"].pause_seconds = 0.5
    with pytest.raises(SourceBusy, match="60 seconds"):
        desk.fetch(url)
    assert "/v/7.ts" not in origin.paths()


def test_a_cancelled_playlist_stops(origin: Origin, desk: Desk) -> None:
    url = samples.add_stream(origin, 8)
    for number in range(8):
        origin.replies[f"/v/{number}.ts"].pause_seconds = 30.0
    cancelled = Event()
    Thread(target=lambda: (time.sleep(0.5), cancelled.set())).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        desk.with_limits(stall_seconds=60).fetch(url, cancelled=cancelled)
    assert time.monotonic() - began < 20.0


def test_a_disk_that_fills_up_fails_with_the_reason(
    origin: Origin, small_disk: SmallDisk, desk: Desk
) -> None:
    segments = samples.segments()
    padding = (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 20_000
    url = add(origin, *(segment + padding for segment in segments))
    here = Desk(small_disk.path, desk.client)
    small_disk.fill(9_000_000)
    with pytest.raises(DiskFull, match="must free some"):
        here.fetch(url)
    small_disk.empty()
    assert hls.decoded_frames(here.fetch(url).path) == 100


PRIVATE = "http://169.254.169.254/latest/meta-data"


@pytest.mark.parametrize(
    "target", [PRIVATE, "http://127.0.0.2/x", "file:///etc/passwd"]
)
@pytest.mark.parametrize(
    "line",
    [
        "{}",
        '#EXT-X-KEY:METHOD=AES-128,URI="{}"\n0.ts',
        '#EXT-X-MAP:URI="{}"\n0.ts',
        "redirect",
    ],
)
def test_no_url_of_a_playlist_leads_elsewhere(
    origin: Origin, desk: Desk, line: str, target: str
) -> None:
    client = origins.client("127.0.0.1")
    add(origin, *samples.segments())
    headers = {"Location": target}
    origin.add("/v/redirect", b"", status=302, headers=headers)
    here = Desk(desk.folder, client)
    refused: type[AppError] = RefusedUrl
    with pytest.raises(refused):
        here.fetch(retag(origin, line.format(target)))
    client.close()


@pytest.mark.parametrize(
    "lines",
    [
        [f"#EXT-X-STREAM-INF:BANDWIDTH=1\n{PRIVATE}"],
        [
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="x",NAME="n",URI="{PRIVATE}"',
            '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="x"\nv/index.m3u8',
        ],
    ],
)
def test_no_variant_leads_elsewhere(
    origin: Origin, desk: Desk, lines: list[str]
) -> None:
    client = origins.client("127.0.0.1")
    samples.add_stream(origin)
    with pytest.raises(RefusedUrl, match="not one that this server allows"):
        Desk(desk.folder, client).fetch(origin.add("/m.m3u8", hls.master(*lines)))
    client.close()
