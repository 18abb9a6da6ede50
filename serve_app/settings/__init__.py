"""All settings of the service, in sections of the kernel and of each system."""

from urllib.parse import urlsplit

from serve_app.settings.access import AccessSettings
from serve_app.settings.archive import ArchiveSettings
from serve_app.settings.images import ImagesSettings
from serve_app.settings.kernel import KernelSettings
from serve_app.settings.library import LibrarySettings
from serve_app.settings.section import variables
from serve_app.settings.stems import StemsSettings


class Settings(
    ImagesSettings,
    ArchiveSettings,
    LibrarySettings,
    StemsSettings,
    AccessSettings,
    KernelSettings,
):
    """The settings of an operator. A system adds its section to the bases."""

    @property
    def effective_hosts(self) -> tuple[str, ...]:
        """The allowed Host headers; empty if all are allowed.

        Where the archive has a public URL, one address may lead to both its processes.
        """
        allowed, host = super().effective_hosts, urlsplit(self.archive_url).hostname
        return (*allowed, host) if allowed and host else allowed

    @property
    def default_systems(self) -> tuple[str, ...]:
        """The systems that run if a config names none: those that are configured."""
        found = ["stems"]
        if self.library_queue_url:
            found.append("library")
        if self.archive_hosts:
            found.append("archive")
        if self.images_model:
            found.append("images")
        return tuple(found)


def all_variables() -> tuple[str, ...]:
    """Return the environment variables of all settings."""
    fields = Settings.model_fields.items()
    return tuple(name for item in fields for name in variables(*item))
