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
    """Return the bucket at `place`; ValueError, which names the setting, for none."""
    try:
        return parsed(place)
    except ValueError as err:
        raise ValueError(f"{setting}: {err}") from err


def parsed(place: str) -> Bucket:
    """Return the bucket `s3://bucket/folder?endpoint_url=…&region=…`.

    Raises ValueError, which does not repeat what may be secret in it, for what is none.
    """
    address = urlsplit(place)
    options = dict(parse_qsl(address.query))
    user, _, host = address.netloc.rpartition("@")
    if address.scheme != "s3" or not host or user or set(options) - _OPTIONS:
        plain = place.partition("?")[0].replace(f"{user}@", "")
        raise ValueError(
            f"{plain} is no s3://bucket/folder with at most "
            f"{' and '.join(sorted(_OPTIONS))}"
        )
    return Bucket(host, address.path.strip("/"), **options)
