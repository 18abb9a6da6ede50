"""The tags of a song, put into the stems that were made of it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve_app.errors import UnreadableAudio
from serve_app.stems import song_track
from serve_app.stems.exports import tagging
from serve_app.stems.song_track import Facts

logger = logging.getLogger(__name__)


def write(
    stems: Mapping[str, Path],
    original: Path,
    facts: Facts,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Give the files of stems, by name, the tags of their original.

    With a report they have its tempo, key and grid, too. Their sound stays as it is. A
    stem that can't be tagged, such as a wav of 4 GiB, stays without.
    """
    try:
        track = song_track.read(original, "", facts, report)
    except UnreadableAudio as err:
        logger.warning("tags not read: %s", err)
        return
    for name, path in stems.items():
        target = path.with_name(f"tagged-{path.name}")
        try:
            tagging.write_stem(track, name, path, target)
        except ValueError as err:
            logger.warning("stem not tagged stem=%s: %s", name, err)
        else:
            target.replace(path)
