"""Names in headers, as browsers and libraries write them."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.filenames import content_disposition
from tests.unit.filenames.test_titles import NAMES, assert_safe


def filename(said: str | bytes, is_percent_encoded: bool = False) -> str | None:
    raw = said if isinstance(said, bytes) else said.encode()
    header = b'form-data; name="file"; ' + raw
    found = content_disposition.read(header, is_percent_encoded)
    assert found.field == "file"
    return found.filename


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('filename="song.mp3"', "song.mp3"),
        ('filename="노래.mp3"', "노래.mp3"),
        ("filename=song.mp3", "song.mp3"),
        ("FileName = my song.mp3 ", "my song.mp3"),
        ('filename="a; b=c.mp3"', "a; b=c.mp3"),
        ('filename="Blue Monday (12%22 Mix).wav"', 'Blue Monday (12" Mix).wav'),
        ('filename="Blue Monday (12\\" Mix).wav"', 'Blue Monday (12" Mix).wav'),
        ('filename="Blue Monday (12" Mix).wav"', 'Blue Monday (12" Mix).wav'),
        ('filename="a\\"; b=c.wav"', 'a"; b=c.wav'),
        ('filename="a"; b.wav"', 'a"; b.wav'),
        ('filename="back\\slash.wav"', "back\\slash.wav"),
        ('filename="back\\\\slash.wav"', "back\\slash.wav"),
        ('filename="end\\"', "end\\"),
        ('filename="end\\\\"', "end\\"),
        ('filename="two%0D%0Alines.mp3"', "two\r\nlines.mp3"),
        ('filename="two\nlines.mp3"', "two\nlines.mp3"),
        ('filename="100%25.wav"', "100%25.wav"),
        ('filename="50%20off%2Fon.wav"', "50%20off%2Fon.wav"),
        ('filename="%E2%99%AB.wav"', "%E2%99%AB.wav"),
        ('filename=""', ""),
        ("filename=", ""),
        ('filename="C:\\fakepath\\song.mp3"', "C:\\fakepath\\song.mp3"),
        ('filename="unclosed.mp3', "unclosed.mp3"),
    ],
)
def test_a_plain_file_name_is_read_as_it_was_meant(said: str, name: str) -> None:
    assert filename(said) == name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("filename*=UTF-8''%EB%85%B8%EB%9E%98.mp3", "노래.mp3"),
        ("filename*=utf-8'ko'%EB%85%B8.mp3", "노.mp3"),
        ("filename*=\"UTF-8''na%C3%AFve.mp3\"", "naïve.mp3"),
        ("filename*=iso-8859-1'en'na%EFve.mp3", "naïve.mp3"),
        ("filename*=Shift_JIS''%96%E9.mp3", "夜.mp3"),
        ("filename*=unheard-of''na%C3%AFve.mp3", "naïve.mp3"),
        ("filename*=idna''x.mp3", "x.mp3"),
        ("filename*=na%C3%AFve.mp3", "naïve.mp3"),
        ("filename=\"_.mp3\"; filename*=UTF-8''%EB%85%B8.mp3", "노.mp3"),
        ("filename*=UTF-8''%EB%85%B8.mp3; filename=\"_.mp3\"", "노.mp3"),
        ("filename*=UTF-8''; filename=\"song.mp3\"", "song.mp3"),
        ("filename*=UTF-8''a%22%5Cb.mp3", 'a"\\b.mp3'),
        ("filename*=UTF-8''100%2525.wav", "100%25.wav"),
        ('filename*0="my "; filename*1="song.mp3"', "my song.mp3"),
        ("filename*1*=%B8.mp3; filename*0*=utf-8''%EB%85", "노.mp3"),
    ],
)
def test_an_extended_file_name_counts_more(said: str, name: str) -> None:
    assert filename(said) == name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('filename="=?utf-8?B?64W4656YLm1wMw==?="', "노래.mp3"),
        ('filename="=?UTF-8?b?64W4656YLm1wMw?="', "노래.mp3"),
        ("filename==?utf-8?Q?na=C3=AFve_x.mp3?=", "naïve x.mp3"),
        ('filename="=?iso-8859-1?Q?na=EFve.mp3?="', "naïve.mp3"),
        ('filename="=?utf-8?Q?na=C3?= =?utf-8?Q?=AFve.mp3?="', "naïve.mp3"),
        ('filename="=?utf-8*en?Q?song?=.mp3"', "song.mp3"),
        ('filename="=?who?.mp3"', "=?who?.mp3"),
        ('filename="=?utf-8?X?song?=.mp3"', "=?utf-8?X?song?=.mp3"),
        ('filename="=?utf-8?B?!?=.mp3"', ".mp3"),
    ],
)
def test_encoded_words_are_read(said: str, name: str) -> None:
    assert filename(said) == name


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("naïve café.mp3", "latin-1"),
        ("Don\u2019t.mp3", "cp1252"),
        ("夜に駆ける.mp3", "cp932"),
        ("表示ソ", "cp932"),
        ("노래.mp3", "utf-8"),
    ],
)
def test_raw_bytes_are_read(name: str, encoding: str) -> None:
    assert filename(b'filename="' + name.encode(encoding) + b'"') == name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Blue%20Monday%20%2812%22%20Mix%29.wav", 'Blue Monday (12" Mix).wav'),
        ("%EB%85%B8%EB%9E%98.mp3", "노래.mp3"),
        ("100%2525.wav", "100%25.wav"),
        ("back%5Cslash.wav", "back\\slash.wav"),
        ("song.mp3", "song.mp3"),
        ("50% off.mp3", "50% off.mp3"),
        ("100%.mp3", "100%.mp3"),
    ],
)
def test_a_name_that_is_encoded_whole_is_decoded(said: str, name: str) -> None:
    assert filename(f'filename="{said}"', is_percent_encoded=True) == name


def test_without_a_file_name_there_is_none() -> None:
    for header in (b'form-data; name="model"', b"form-data; name=model; x=filename"):
        assert content_disposition.read(header).filename is None
        assert content_disposition.read(header).field == "model"
    assert content_disposition.read(b'form-data; filename="a"').field is None


@given(name=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=50))
def test_what_a_browser_sends_is_what_its_user_has(name: str) -> None:
    """But for names that have an escape, or a backslash before another, themselves."""
    if re.search(r"%22|%0A|%0D|\\\\|=\?", name) or name.endswith("\\"):
        return
    sent = name.replace('"', "%22").replace("\n", "%0A").replace("\r", "%0D")
    assert filename(f'filename="{sent}"') == name


@given(header=st.binary(max_size=200))
def test_no_header_is_too_odd(header: bytes) -> None:
    for more in (header, b'filename="' + header, b"filename*=" + header):
        content_disposition.read(b"form-data; name=file; " + more)


@pytest.mark.parametrize(
    "piece", [b';a="x', b";a=", b'"', b'";', b"\\", b"=?utf-8?q?", b";filename*0="]
)
def test_a_long_header_takes_no_long_time(piece: bytes) -> None:
    header = b'form-data; filename="' + piece * (65_536 // len(piece))
    started = time.process_time()
    content_disposition.read(header)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b.wav", "attachment; filename=\"a b.wav\"; filename*=UTF-8''a%20b.wav"),
        (
            "naïve.wav",
            "attachment; filename=\"naive.wav\"; filename*=UTF-8''na%C3%AFve.wav",
        ),
        (
            'a"b\\c%d\r\n.wav',
            "attachment; filename=\"a_b_c_d .wav\"; filename*=UTF-8''a_b_c%25d%20.wav",
        ),
        (
            "NUL.wav",
            "attachment; filename=\"_NUL.wav\"; filename*=UTF-8''_NUL.wav",
        ),
        (
            "\uff0e\uff0e\uff0fx.wav",
            'attachment; filename="_x.wav"; '
            "filename*=UTF-8''%EF%BC%8E%EF%BC%8E%EF%BC%8Fx.wav",
        ),
    ],
)
def test_a_download_is_named_for_old_and_new_browsers(name: str, expected: str) -> None:
    assert content_disposition.attachment(name) == expected


def test_songs_in_any_script_have_names_of_their_own_for_old_clients() -> None:
    """curl -OJ reads the plain form only: one name for all would lose files."""
    names = [
        "夜に駆ける_vocals.wav",
        "群青_vocals.wav",
        "🎵_vocals.wav",
        "Ой_vocals.wav",
    ]
    plain = [
        content_disposition.attachment(name).split('"')[1]
        for name in (*names, "café_vocals.wav")
    ]
    assert len(set(plain)) == len(plain)
    assert all(name.endswith("_vocals.wav") for name in plain)
    assert plain[-1] == "cafe_vocals.wav"


def test_all_files_of_a_song_have_one_name_for_old_clients() -> None:
    names = [
        content_disposition.attachment(f"夜に 駆ける{ending}").split('"')[1]
        for ending in (".xml", ".cue", "_vocals.wav")
    ]
    base = names[0].removesuffix(".xml")
    assert re.fullmatch("[0-9a-f]{8}", base)
    assert names == [f"{base}{ending}" for ending in (".xml", ".cue", "_vocals.wav")]


@given(name=NAMES)
def test_a_download_has_a_safe_name_in_a_header_of_ascii(name: str) -> None:
    header = content_disposition.attachment(name).encode("ascii")
    form = rb"attachment; filename=\"([ -~]*)\"; filename\*=UTF-8''[!-~]*"
    plain = re.fullmatch(form, header)
    assert plain is not None
    assert_safe(plain[1].decode())
    found = content_disposition.read(header).filename
    assert found is not None
    assert_safe(found)
