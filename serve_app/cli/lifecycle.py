"""The buckets that files are kept in, set up at a terminal."""

from math import ceil

from serve_app.cli.configuration import read_settings
from serve_app.errors import InvalidInput
from serve_app.storage import addresses

_DAY_SECONDS = 24 * 3600


def expire(days: int) -> None:
    """Have every bucket of the storage delete files of jobs after `days`.

    Raises InvalidInput where there is no bucket, or results are kept for longer, and
    StorageUnavailable when a bucket does not take the rules.
    """
    settings = read_settings()
    least = ceil(settings.retention_seconds / _DAY_SECONDS)
    if days < least:
        raise InvalidInput(
            f"Results are kept for {settings.retention_seconds:g} seconds: give at "
            f"least --days {least}."
        )
    found = [
        place
        for place in settings.effective_storage
        if not addresses.is_directory(place)
    ]
    if not found:
        raise InvalidInput("Files are kept in no bucket: set STEMSERVE_STORAGE to one.")
    from serve_app.stems.kind import FOLDERS
    from serve_app.storage import lifecycle

    for place in found:
        try:
            bucket = addresses.bucket(place, "STEMSERVE_STORAGE")
        except ValueError as err:
            raise InvalidInput(f"{err}.") from err
        for folder in lifecycle.expire(bucket, days, FOLDERS):
            print(f"s3://{bucket.name}/{folder}: files go after {days} days")
