"""Media that the archive before this one has stored, and this one has no row of."""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from serve_app.archive.errors import MediaNotFound
from serve_app.archive.identity import Identity, identity_of
from serve_app.archive.media import Media, MediaState, MediaStore
from serve_app.archive.old_tables.errors import TablesUnavailable
from serve_app.archive.old_tables.tables import OldTables
from serve_app.jobs.log import quoted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """Reads the old API's tables where the archive's own rows say nothing.

    `repositories` are those of the archive's stores. Methods block.
    """

    tables: OldTables
    media: MediaStore
    repositories: Collection[str]

    def has(self, identity: Identity) -> bool:
        """Whether only `video_store` has an episode; not while the tables are away."""
        try:
            return not self._has_row(identity) and (
                self.tables.find_stored(identity) is not None
            )
        except TablesUnavailable as err:
            # The loop tells of it; a trigger is worth more than an answer.
            logger.info("old tables not asked error=%s", quoted(err.detail))
            return False

    def _has_row(self, identity: Identity) -> bool:
        """Whether a row here tells more than that a fetch failed."""
        try:
            media = self.media.find(identity.key)
        except MediaNotFound:
            return False
        is_failed = self.media.state(media) is MediaState.FAILED
        return media.blocked_at is not None or not is_failed

    def take_down(self, key: str) -> Media:
        """Take down what the tables have of a key: the loop deletes its rows.

        Raises MediaNotFound, and TablesUnavailable.
        """
        identity = identity_of(key)
        stored = None if identity is None else self.tables.find_stored(identity)
        if identity is None or stored is None:
            raise MediaNotFound(f"There is no media {key!r}.")
        if stored.hf_repo not in self.repositories:
            logger.warning(
                "media taken down, but its file is in no store of this archive: "
                "delete it by hand key=%s repository=%s path=%s",
                *(quoted(key), quoted(stored.hf_repo), quoted(stored.hf_path)),
            )
        return self.media.block_earlier(identity, stored.hf_direct_url, stored.hf_path)
