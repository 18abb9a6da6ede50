from pathlib import Path

from serve_app.errors import UnreadableAudio
from tools import fuzz_media


def test_damaged_files_of_every_format_are_taken_or_refused() -> None:
    ends = fuzz_media.run(files=200, seed=7)
    assert ends[fuzz_media.REFUSED] > 50
    assert ends.total() == 200
    good = (fuzz_media.TAKEN, fuzz_media.REFUSED, fuzz_media.TOO_MUCH)
    assert set(ends) <= set(good)


def test_a_seed_always_gives_the_same_files(tmp_path: Path) -> None:
    whole = [bytes(range(256)) * 40, b"other" * 100]
    first, again = (
        [fuzz_media.damaged(whole, 1, number) for number in range(40)] for _ in range(2)
    )
    assert first == again
    assert first != [fuzz_media.damaged(whole, 2, number) for number in range(40)]


def test_what_would_be_a_server_error_is_told_from_a_refusal(tmp_path: Path) -> None:
    def fail(error: Exception) -> str:
        def measure(_: Path) -> None:
            raise error

        return fuzz_media.outcome(measure, tmp_path)

    assert fail(UnreadableAudio("It is cut short.")) == fuzz_media.REFUSED
    assert fail(UnreadableAudio(fuzz_media.CRASHED)) == fuzz_media.DECODER_CRASHED
    assert fail(RuntimeError("measuring a song failed")) in fuzz_media.BAD
