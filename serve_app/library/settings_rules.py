"""Checks of the library's settings."""

import re
from collections.abc import Mapping

from serve_app.errors import RefusedUrl
from serve_app.library import channel
from serve_app.outbound import urls
from serve_app.settings import Settings
from serve_app.settings.check import Rule, is_web, needs
from serve_app.storage import addresses

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# Those of the first years may have capitals and underscores.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


def _check_queue(settings: Settings) -> None:
    _check_queue_url(settings.library_queue_url)
    if settings.library_queue_url and not settings.library_webhook_url:
        raise ValueError(
            "the library has a queue but no receiver: set WEBHOOK_URL to the base URL "
            "of its webhooks"
        )


def _check_dead_letters(settings: Settings) -> None:
    _check_queue_url(settings.library_dead_letter_url)
    if settings.library_dead_letter_url and (
        settings.library_dead_letter_url == settings.library_queue_url
    ):
        raise ValueError("must be another queue than that of the tasks")


def _check_queue_url(url: str) -> None:
    if not url:
        return
    if not is_web(url):
        raise ValueError(
            "must be the URL of a queue, beginning with https:// or http://"
        )
    if url.endswith(".fifo"):
        raise ValueError("must be a standard queue, not a FIFO queue")
    needs("boto3", "s3")


def _check_webhook_url(settings: Settings) -> None:
    if not settings.library_webhook_url:
        return
    try:
        urls.checked(settings.library_webhook_url, channel.RECEIVERS)
    except RefusedUrl as err:
        raise ValueError(err.detail.rstrip(".")) from err
    if {"?", "#"} & set(settings.library_webhook_url):
        raise ValueError(
            "must have no query and no fragment: the names of webhooks are added to it"
        )


def _check_region(settings: Settings) -> None:
    if not _REGION.fullmatch(settings.library_region):
        raise ValueError("must be the name of a region, such as ap-northeast-2")


def _check_bucket(settings: Settings) -> None:
    if not settings.library_bucket:
        return
    bucket = addresses.parsed(settings.library_bucket_address)
    if not _BUCKET.fullmatch(bucket.name):
        raise ValueError("must be the name of a bucket")
    if bucket.prefix:
        raise ValueError("must be a bucket without a folder: tasks name whole keys")
    if bucket.endpoint_url is not None and not is_web(bucket.endpoint_url):
        raise ValueError("its endpoint_url must begin with http:// or https://")
    needs("boto3", "s3")


def _check_types(settings: Settings) -> None:
    for each in settings.library_media_types:
        if each.count("/") != 1 or each.startswith("/") or each.endswith("/"):
            raise ValueError(f"{each[:40]} must be a media type such as audio/wav")


RULES: Mapping[str, Rule] = {
    "library_queue_url": _check_queue,
    "library_dead_letter_url": _check_dead_letters,
    "library_webhook_url": _check_webhook_url,
    "library_region": _check_region,
    "library_bucket": _check_bucket,
    "library_media_types": _check_types,
}
