import pickle
import subprocess
import sys

import pytest

from serve_app.audio.formats import FORMATS, parse
from serve_app.errors import InvalidInput


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_found_by_its_name(name: str) -> None:
    assert parse(name).name == name


@pytest.mark.parametrize("name", ["", "WAV", "../wav", "x" * 5_000])
def test_an_unknown_format_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(name)
    assert "wav, wav24, wav32f, flac, mp3, m4a, opus" in caught.value.detail
    assert len(caught.value.detail) < 200


def test_only_float_holds_what_is_over_full_scale() -> None:
    assert [name for name, format in FORMATS.items() if not format.can_clip] == [
        "wav32f"
    ]


def test_a_format_survives_pickle() -> None:
    assert pickle.loads(pickle.dumps(FORMATS["opus"])) == FORMATS["opus"]  # noqa: S301


def test_formats_load_no_codec() -> None:
    """The API validates formats in a process that does not decode."""
    code = (
        "import sys, serve_app.audio.formats, serve_app.audio.facts,"
        "serve_app.audio.limits; assert not {'av', 'numpy', 'soxr'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
