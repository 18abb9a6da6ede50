"""No letter is drawn as a missing-glyph box."""

import pytest

from serve_app.pictures import fonts


@pytest.fixture
def _no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_SYSTEM_FONTS", ())


@pytest.mark.usefixtures("_no_system_fonts")
@pytest.mark.parametrize(
    ("title", "drawn"),
    [
        ("Plain title (Remix) #1", "Plain title (Remix) #1"),
        ("Beyoncé \u2013 Ænima, Łódź, Straße", "Beyonce - AEnima, Lodz, Strasse"),
        ("Beyonce\u0301", "Beyonce"),
        ("夜に駆ける (Remix)", "\u2026 (Remix)"),
        ("Щедрик и Ёлка", "Shchedrik i Elka"),
        ("Привет, Мир", "Privet, Mir"),
        ("夜に駆ける", ""),
        ("أغنية جميلة", ""),
        ("Song 🎵 two", "Song  two"),
        ("a\x00\u202eb\u200b", "ab"),
        ("", ""),
    ],
)
def test_without_other_fonts_titles_are_drawn_as_far_as_can_be(
    title: str, drawn: str
) -> None:
    font, text = fonts.drawable(title, 20)
    assert text == drawn
    box = fonts._shape(font, "\uffff")
    assert all(fonts._shape(font, letter) != box for letter in text.replace(" ", ""))


def test_a_font_of_the_system_is_taken_where_it_has_all_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def has(name: str, character: str) -> bool:
        asked.append(name)
        return name == "Everything.ttf" or character.isascii()

    monkeypatch.setattr(fonts, "_SYSTEM_FONTS", ("Lacks.ttf", "Everything.ttf"))
    monkeypatch.setattr(fonts, "_font", lambda name, size: fonts._own_font(size))
    monkeypatch.setattr(fonts, "_has", has)
    assert fonts.drawable("Привет", 20)[1] == "Привет"
    assert asked[-1] == "Everything.ttf"


def test_a_picture_in_a_title_costs_none_of_its_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No font has every character, but one has all the letters."""
    monkeypatch.setattr(fonts, "_SYSTEM_FONTS", ("Japanese.ttf",))
    monkeypatch.setattr(fonts, "_font", lambda name, size: fonts._own_font(size))
    monkeypatch.setattr(
        *(fonts, "_has"),
        lambda name, letter: letter != "🎵" and (bool(name) or letter.isascii()),
    )
    assert fonts.drawable("夜 🎵 (Remix)", 20)[1] == "夜  (Remix)"


def test_fonts_that_are_not_there_are_passed_over() -> None:
    assert fonts._font("no-such-font.ttf", 20) is None
    assert not fonts._has("no-such-font.ttf", "a")


@pytest.mark.parametrize("most", [0, 1, 2, 3, 5, 9, 10, 11])
def test_shortened_texts_fit(most: int) -> None:
    text = fonts.shortened("ab cd efgh", most, len)
    assert len(text) <= most
    if most >= 10:
        assert text == "ab cd efgh"
    elif most >= 2:
        assert text.endswith("\u2026")
        assert len(text) >= most - 1
    else:
        assert text == ""


def test_letters_that_must_be_joined_are_left_out_where_that_can_not_be_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fonts, "_can_join_letters", lambda: False)
    fonts._has.cache_clear()
    assert not any(fonts._has(name, "غ") for name in ("", *fonts._SYSTEM_FONTS))
    fonts._has.cache_clear()
