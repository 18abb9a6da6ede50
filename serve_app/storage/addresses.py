"""Storage locations: a directory, a bucket of S3, or the Hugging Face Hub."""

import os
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

_OPTIONS = {"endpoint_url", "region"}
_HUB = "https://huggingface.co"
_CDN_OF_HUB = ("*.huggingface.co", "*.hf.co")


@dataclass(frozen=True)
class Bucket:
    """A bucket, and a folder in it.

    The default endpoint is Amazon's. Credentials, and the default region, come from
    boto3's usual sources: the environment, its files, the machine.
    """

    name: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None


def is_directory(place: str) -> bool:
    """Return whether `place` is a path and not a URL."""
    return "://" not in place


def bucket(place: str, setting: str) -> Bucket:
    """Return the bucket at `place`; errors name the `setting`."""
    try:
        return parsed(place)
    except ValueError as err:
        raise ValueError(f"{setting}: {err}") from err


def parsed(place: str) -> Bucket:
    """Return the bucket `s3://bucket/folder?endpoint_url=…&region=…`.

    Raises ValueError, without possible secrets in its text, if `place` is invalid.
    """
    address = urlsplit(place)
    options = dict(parse_qsl(address.query))
    user, _, host = address.netloc.rpartition("@")
    if address.scheme != "s3" or not host or user or set(options) - _OPTIONS:
        plain = place.partition("?")[0].replace(f"{user}@", "")
        raise ValueError(
            "must be s3://bucket/folder, optionally with "
            f"{' and '.join(sorted(_OPTIONS))}, got {plain}"
        )
    return Bucket(host, address.path.strip("/"), **options)


def hub_endpoint() -> str:
    """Return `HF_ENDPOINT`, as `huggingface_hub` reads it, or the public Hub."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB


def hub_hosts(endpoint: str) -> tuple[str, ...]:
    """Return the hosts that files of a Hub come from: its own, and those of its CDN."""
    own = urlsplit(endpoint).hostname or ""
    return (own, *_CDN_OF_HUB) if endpoint.rstrip("/") == _HUB else (own,)
