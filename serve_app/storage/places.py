"""Where files may be kept, as an operator writes it: a directory, or a bucket of S3."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

_OPTIONS = {"endpoint_url", "region"}


@dataclass(frozen=True)
class Bucket:
    """Where files lie: a bucket, and a folder in it.

    Without an endpoint it is Amazon's. Credentials, and a region that is not given,
    come from where boto3 looks for them: the environment, its files, the machine.
    """

    name: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None


def is_directory(place: str) -> bool:
    """Whether `place` is a path, and not an address."""
    return "://" not in place


def bucket(place: str, setting: str) -> Bucket:
    """Return the bucket `s3://bucket/folder?endpoint_url=…&region=…`.

    Raises ValueError, which names the setting but not what may be secret in it, for
    what is none.
    """
    address = urlsplit(place)
    options = dict(parse_qsl(address.query))
    if address.scheme != "s3" or not address.netloc or set(options) - _OPTIONS:
        raise ValueError(
            f"{setting}: {place.partition('?')[0]} is no s3://bucket/folder with at "
            f"most {' and '.join(sorted(_OPTIONS))}"
        )
    return Bucket(address.netloc, address.path.strip("/"), **options)
