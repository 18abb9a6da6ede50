"""Songs on their way: dropped, chosen, fetched, refused, cancelled, interrupted."""

from pathlib import Path
from typing import Any

import pytest

from tests.page.views.site import Site


def test_a_dropped_song_is_sent_and_its_view_opens(
    site: Site, browse: Any, song: Path
) -> None:
    opened = browse(site)
    opened.see("Hybrid") if False else opened.see("Small, for trying the system out.")
    opened.drop(("song.mp3", song.read_bytes()))
    opened.page.wait_for_url("**/page/songs/*")
    opened.see("song.mp3")
    assert opened.page.title() == "song.mp3 · stemserve"
