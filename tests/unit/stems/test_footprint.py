from dataclasses import replace

from serve_app.stems.footprint import disk_bytes
from serve_app.stems.request import Options
from tests.jobs import new_job

STEMS = ("drums", "bass", "other", "vocals")


def test_a_job_needs_room_for_its_windows_and_its_stems_and_their_copies() -> None:
    """For each second: 1.4 MB of windows and their overlap, and 3 times the stems.

    Beside that, stems have the song's tags, which are no larger than its file.
    """
    source = replace(new_job().request.source, size_bytes=0)
    options = Options("demo", STEMS, "wav")
    needed = disk_bytes(source, options, STEMS, 44_100)
    second_bytes = 44_100 * 2 * 4 * 4
    assert needed == round(180 * second_bytes * (8 / 7 + 3))
    tagged = disk_bytes(replace(source, size_bytes=10**9), options, STEMS, 44_100)
    assert tagged - needed == 2 * 10**9 + 3 * 4 * 2 * 2**20


def test_fewer_stems_need_less_but_all_windows() -> None:
    source = replace(new_job().request.source, size_bytes=0)
    all_of_them, one = (
        disk_bytes(source, Options("demo", stems, "wav"), STEMS, 44_100)
        for stems in (STEMS, STEMS[:1])
    )
    assert all_of_them - one == 3 * 180 * 44_100 * 2 * 4 * 3
