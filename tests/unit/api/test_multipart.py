import hashlib
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_app.api.multipart import MAX_FIELDS_BYTES, Form, FormReader, FormRules
from serve_app.errors import (
    AppError,
    BadRequest,
    InvalidField,
    Unavailable,
    UploadTooLarge,
)

BOUNDARY = "xyzzy"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
RULES = FormRules(("model", "stems"), max_file_bytes=10_000)


def part(disposition: str, data: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def song(data: bytes = b"la la", name: str = "song.mp3") -> bytes:
    return part(f'name="file"; filename="{name}"', data)


def read(
    path: Path, data: bytes, content_type: str = CONTENT_TYPE, step: int = 100
) -> Form:
    reader = FormReader(content_type, path, RULES)
    try:
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
        return reader.finish()
    finally:
        reader.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from([b"\r\n", b"--xyzzy", b"-", b"x"])).map(b"".join),
    ),
    step=st.integers(1, 200),
)
def test_a_file_arrives_as_it_was_sent(tmp_path: Path, data: bytes, step: int) -> None:
    """Byte for byte and with its hash, however the network cuts the body up."""
    if b"\r\n--xyzzy" in b"\r\n" + data:
        return
    path = tmp_path / "upload"
    path.unlink(missing_ok=True)
    form = read(path, body(song(data), part('name="model"', b"demo")), step=step)
    assert path.read_bytes() == data
    assert form.sha256 == hashlib.sha256(data).hexdigest()
    assert form.size_bytes == len(data)
    assert form.fields == (("model", "demo"),)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("song.mp3", "song.mp3"),
        ("노래.mp3", "노래.mp3"),
        ("Don't.mp3", "Don't.mp3"),
        ("a; b=c.mp3", "a; b=c.mp3"),
        ("a%22b.mp3", 'a"b.mp3'),
        ('a \\"b\\".mp3', 'a "b".mp3'),
        ("back\\slash.mp3", "back\\slash.mp3"),
        ("a%0D%0Ab.mp3", "a b.mp3"),
        ("C:\\music\\song.mp3", "song.mp3"),
        ("\\\\server\\song.mp3", "song.mp3"),
        ("../song.mp3", "song.mp3"),
        ("", "song"),
        ("음" * 300, "음" * 255),
        ("x" * 20_000, "x" * 255),
    ],
)
def test_any_name_is_taken_and_the_title_kept(
    tmp_path: Path, name: str, title: str
) -> None:
    assert read(tmp_path / "upload", body(song(name=name))).filename == title


@pytest.mark.parametrize(
    ("headers", "title"),
    [
        ("filename*=UTF-8''%EB%85%B8.mp3", "노.mp3"),
        ("filename=\"_.mp3\"; filename*=UTF-8''%EB%85%B8.mp3", "노.mp3"),
        ('filename="=?utf-8?B?64W4656YLm1wMw==?="', "노래.mp3"),
        ('filename="%EB%85%B8.mp3"', "%EB%85%B8.mp3"),
        ('filename="100%25.wav"\r\nContent-Type: audio/wav', "100%25.wav"),
    ],
)
def test_the_name_may_be_given_in_other_ways(
    tmp_path: Path, headers: str, title: str
) -> None:
    form = read(tmp_path / "upload", body(part(f'name="file"; {headers}', b"la")))
    assert form.filename == title


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Blue%20Monday%20%2812%22%20Mix%29.wav", 'Blue Monday (12" Mix).wav'),
        ("%EB%85%B8%EB%9E%98.mp3", "노래.mp3"),
        ("100%2525.wav", "100%25.wav"),
    ],
)
def test_a_name_is_decoded_where_its_sender_encodes_names_whole(
    tmp_path: Path, name: str, title: str
) -> None:
    """aiohttp does, and tells by the order of its headers."""
    head = "Content-Type: application/octet-stream\r\nContent-Disposition: form-data; "
    named = f'{head}name="file"; filename="{name}"\r\n\r\n'
    sent = f"--{BOUNDARY}\r\n{named}".encode() + b"la\r\n"
    assert read(tmp_path / "upload", body(sent)).filename == title


@pytest.mark.parametrize(
    "headers",
    ["", "\r\nContent-Type: audio/mpeg", "\r\nContent-Transfer-Encoding: 8bit"],
)
def test_a_song_without_a_name_gets_the_default(tmp_path: Path, headers: str) -> None:
    form = read(tmp_path / "upload", body(part(f'name="file"{headers}', bytes(5000))))
    assert (form.filename, form.size_bytes) == ("song", 5000)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("unknown", "names"),
    [
        ([part('name="colour"', b"red")], ("colour",)),
        ([part('name="colour"', b"x" * (MAX_FIELDS_BYTES + 1))], ("colour",)),
        ([part('name="cover"; filename="cover.png"', bytes(5000))], ("cover",)),
        ([part('name="File"; filename="b.mp3"', b"no")], ("File",)),
        ([part('name="stem"', b"vocals"), part('name="stem"', b"bass")], ("stem",)),
        ([part('name=""', b"nothing"), part('name="음"', b"")], ("", "음")),
        ([part(f'name="{"x" * 5000}"', b"")], ("x" * 40,)),
    ],
)
def test_fields_that_there_are_not_are_ignored_and_named(
    tmp_path: Path, unknown: list[bytes], names: tuple[str, ...], is_first: bool
) -> None:
    known = [song(), part('name="model"', b"demo")]
    parts = [*unknown, *known] if is_first else [*known, *unknown]
    form = read(tmp_path / "upload", body(*parts))
    assert (tmp_path / "upload").read_bytes() == b"la la"
    assert form.filename == "song.mp3"
    assert form.fields == (("model", "demo"),)
    assert form.ignored == names
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_many_unknown_fields_take_no_memory(tmp_path: Path) -> None:
    reader = FormReader(CONTENT_TYPE, tmp_path / "upload", RULES)
    reader.feed(song())
    tracemalloc.start()
    try:
        for number in range(900):
            reader.feed(part(f'name="x{number}"', bytes(10_000)))
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    reader.feed(body())
    form = reader.finish()
    assert len(form.ignored) == 20
    assert most_bytes < 200_000


def test_text_fields_may_be_repeated(tmp_path: Path) -> None:
    parts = [part('name="stems"', stem) for stem in (b"drums", "b\u00e4ss".encode())]
    form = read(tmp_path / "upload", body(*parts, song()))
    assert form.fields == (("stems", "drums"), ("stems", "bäss"))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "no file"),
        ([part('name="model"', b"demo")], "no file"),
        ([part('name="file"', b"la la")], "must be a file, got text"),
        ([song(), song()], "more than one file"),
        ([part('name="song"; filename="a.mp3"', b"la")], "no file"),
        ([part('name="model"; filename="a.mp3"', b"la")], "must be text, got a file"),
        ([part('name="model"', b"x" * (MAX_FIELDS_BYTES + 1))], "must be at most"),
        ([part('name="file"', b"C:\\music\\song.mp3")], "must be a file, got text"),
        ([part('name="file"', b"")], "must be a file, got text"),
    ],
)
def test_a_form_that_says_not_one_thing_is_refused(
    tmp_path: Path, parts: list[bytes], says: str
) -> None:
    with pytest.raises(InvalidField, match=says):
        read(tmp_path / "upload", body(*parts))


@pytest.mark.parametrize(
    "unknown",
    [
        part('name="audio"', b"1"),
        part('name=""', b"1"),
        part('name="cover"; filename="a.png"', b"PNG"),
        part('name="File"; filename="a.mp3"', b"another song"),
        part('name="notes"', b"x" * (MAX_FIELDS_BYTES + 1)),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_field_that_is_not_known_is_ignored(
    tmp_path: Path, unknown: bytes, is_first: bool
) -> None:
    path, stems = tmp_path / "upload", part('name="stems"', b"bass")
    parts = [unknown, song(), stems] if is_first else [song(), stems, unknown]
    whole = body(song(), stems)
    known = read(tmp_path / "known", whole)
    assert replace(read(path, body(*parts)), ignored=()) == known
    assert path.read_bytes() == (tmp_path / "known").read_bytes()


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"{}", "application/json"),
        (b"file=x", "application/x-www-form-urlencoded"),
        (body(song()), ""),
        (body(song()), "multipart/form-data"),
        (body(song()), "multipart/form-data; boundary="),
        (body(song()), "multipart/form-data; boundary=" + "x" * 300),
        (body(song()), "multipart/form-data; boundary=other"),
        (b"", CONTENT_TYPE),
        (b"no form at all", CONTENT_TYPE),
        (body(song())[:-20], CONTENT_TYPE),
        (body(part('filename="song.mp3"', b"la")), CONTENT_TYPE),
        (body(song(), *[part('name="x"', b"")] * 1000), CONTENT_TYPE),
        (body(part('name="file"; filename="' + "x" * 70_000 + '"', b"")), CONTENT_TYPE),
    ],
)
def test_what_is_no_form_is_refused(
    tmp_path: Path, data: bytes, content_type: str
) -> None:
    with pytest.raises(BadRequest, match="multipart/form-data"):
        read(tmp_path / "upload", data, content_type)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.binary(max_size=200), cut=st.integers(0, 300))
def test_garbage_is_refused_and_nothing_else_happens(
    tmp_path: Path, data: bytes, cut: int
) -> None:
    whole = body(song(), part('name="model"', b"demo"))
    (tmp_path / "upload").unlink(missing_ok=True)
    with pytest.raises(AppError):
        read(tmp_path / "upload", whole[: min(cut, len(whole) - 4)] + data[:2])


def test_the_limit_is_the_last_size_that_is_taken(tmp_path: Path) -> None:
    read(tmp_path / "fits", body(song(bytes(10_000))))
    with pytest.raises(UploadTooLarge, match="MiB"):
        read(tmp_path / "too_large", body(song(bytes(10_001))))


def test_a_disk_that_takes_nothing_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="disk"):
        read(tmp_path / "no such directory" / "upload", body(song()))
