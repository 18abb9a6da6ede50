"""`stemserve storage lifecycle`: set expiry rules on the buckets of the storage."""

from math import ceil

from serve_app.cli.configuration import read_settings
from serve_app.errors import InvalidInput
from serve_app.storage import addresses

_DAY_SECONDS = 24 * 3600


def expire(days: int) -> None:
    """Have every bucket of the storage delete files of jobs after `days`.

    Raises InvalidInput if there is no bucket, or results are kept for longer, and
    StorageUnavailable if a bucket refuses the rules or can't be reached.
    """
    settings = read_settings()
    least = ceil(settings.retention_seconds / _DAY_SECONDS)
    if days < least:
        raise InvalidInput(
            f"--days {days} is less than STEMSERVE_RETENTION_SECONDS, "
            f"{settings.retention_seconds:g}. Give at least --days {least}."
        )
    found = [
        place
        for place in settings.effective_storage
        if not addresses.is_directory(place)
    ]
    if not found:
        raise InvalidInput(
            "STEMSERVE_STORAGE has no bucket. Set it to one, such as s3://bucket/jobs."
        )
    from serve_app.stems.kind import FOLDERS
    from serve_app.storage import lifecycle

    for place in found:
        try:
            bucket = addresses.bucket(place, "STEMSERVE_STORAGE")
        except ValueError as err:
            raise InvalidInput(f"{err}.") from err
        for folder in lifecycle.expire(bucket, days, FOLDERS):
            print(f"s3://{bucket.name}/{folder}: files are deleted after {days} days")
