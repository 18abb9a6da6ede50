"""Tags of stems, copied from their song."""

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
    """Write the tags of `original` into the files of its stems, given by name.

    With a report, they get its tempo, key and grid too. The audio is not changed. A
    stem that can't be tagged, such as a wav of 4 GiB, stays without tags.
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
