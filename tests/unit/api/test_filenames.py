import pytest

from serve_app.api import filenames
from serve_app.errors import InvalidFilename


@pytest.mark.parametrize(
    "name",
    [
        "song.mp3",
        "Don't Stop Me Now.mp3",
        "아리랑 (라이브).wav",
        "Ünïcode naïve 🎵.flac",
        "no suffix",
        "100% live.mp3",
        ".hidden.mp3",
        "a" * 255,
        "é" * 255,
    ],
)
def test_a_plain_name_is_kept_as_it_is(name: str) -> None:
    assert filenames.checked(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        ".",
        "..",
        "../../etc/passwd",
        "folder/song.mp3",
        "C:\\music\\song.mp3",
        'a "quoted" song.mp3',
        "a %22quoted%22 song.mp3",
        "two\nlines.mp3",
        "two\r\nlines.mp3",
        "two%0Alines.mp3",
        "two%0Dlines.mp3",
        "two\u2028lines.mp3",
        "nul\0.mp3",
        "bell\x07.mp3",
        "delete\x7f.mp3",
        "a" * 256,
        "음" * 300,
    ],
)
def test_any_other_name_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(InvalidFilename) as caught:
        filenames.checked(name)
    assert caught.value.field == "file"
    assert caught.value.detail.endswith("send it again.")


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
            'attachment; filename="a_b_c_d__.wav"; '
            "filename*=UTF-8''a%22b%5Cc%25d%0D%0A.wav",
        ),
    ],
)
def test_a_download_is_named_for_old_and_new_browsers(name: str, expected: str) -> None:
    assert filenames.attachment(name) == expected
