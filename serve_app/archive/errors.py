"""Why media is not archived."""

from serve_app.errors import AppError, InvalidInput, TryLater


class NotAllowed(InvalidInput):
    """The operator allows no such host, provider or key."""

    code = "not_allowed"


class MediaBlocked(AppError):
    """Media was taken down, and may not be fetched again."""

    code, status = "media_blocked", 410


class MediaNotFound(AppError):
    """There is no such media."""

    code, status = "media_not_found", 404


class SourceFailed(AppError):
    """The source did not give the media: its status, or how it stopped."""

    code, status, retryable = "source_failed", 502, True


class SourceBusy(TryLater):
    """The source asked to be left alone for `delay_seconds` (429, 503)."""

    code = "source_busy"


class NotMedia(AppError):
    """What the source gave is no media, such as a page that says so."""

    code, status = "not_media", 415


class BrokenMedia(AppError):
    """The media can't be stored as it is, such as segments of several codecs."""

    code, status = "broken_media", 422


class ProtectedMedia(AppError):
    """The media is protected, or needs credentials. It is not fetched."""

    code, status = "protected_media", 403


class LiveMedia(AppError):
    """The playlist has no end yet."""

    code, status = "live_media", 422


class MediaTooLarge(AppError):
    """The media is larger than the operator allows."""

    code, status = "media_too_large", 413


class DiskFull(AppError):
    """The disk has no room for the media: the operator must free some."""

    code, status, retryable = "disk_full", 507, True
