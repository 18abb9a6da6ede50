"""Create the database and the webhook sender that the settings name."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from math import ceil

from serve_app.database import Database, OnError
from serve_app.jobs.kind import Rules, Share
from serve_app.outbound import urls
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import UrlRules
from serve_app.settings import Settings
from serve_app.stems.analysis_jobs.kind import SongAnalysis, song_analysis
from serve_app.stems.kind import Separation, Sign, separation
from serve_app.webhooks import signing
from serve_app.webhooks.channel import SendPolicy, WebhookChannel
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.sender import Hooks, Sender

logger = logging.getLogger(__name__)

_SLOW_POLL_SECONDS = 60.0
_NO_HOOKS = Hooks()


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def database(settings: Settings, on_error: OnError = lambda _: None) -> Database:
    """Return the database that `settings` name; for `on_error` see `Database`."""
    return Database(settings.effective_database_url, on_error)


def separation_kind(settings: Settings, sign: Sign) -> Separation:
    """Return the kind of separation jobs, with the limits from the settings."""
    return separation(_song_rules(settings), sign)


def analysis_kind(settings: Settings) -> SongAnalysis:
    """Return the kind of analysis jobs, with the limits from the settings."""
    return song_analysis(_song_rules(settings))


def _song_rules(settings: Settings) -> Rules:
    queued_jobs = ceil(settings.max_queued_jobs * settings.client_queue_share)
    return Rules(
        max_queued=settings.max_queued_jobs,
        share=Share(queued_jobs, settings.max_client_disk_bytes),
        max_attempts=settings.max_attempts,
        retention_seconds=settings.retention_seconds,
    )


def webhook_sender(
    settings: Settings, outbox: Outbox, hooks: Hooks = _NO_HOOKS
) -> Sender:
    """Return the sender of the messages in `outbox`; ValueError for a bad secret."""
    keys = webhook_keys(settings)
    if keys and not settings.public_url:
        logger.warning(
            "webhooks will have no download_url, because STEMSERVE_PUBLIC_URL is not "
            "set. Set it to the URL at which receivers can reach this service."
        )
    # Without a secret, only webhooks accepted before the last restart may be left.
    poll_seconds = SendPolicy.poll_seconds if keys else _SLOW_POLL_SECONDS
    policy = SendPolicy(poll_seconds=poll_seconds)
    is_private = settings.allow_private_webhooks
    network = CheckedNetwork(is_allowed=lambda _: is_private)
    asker = OutboundClient(_webhook_rules(settings), network)
    channel = WebhookChannel(asker, keys, settings.public_url, policy)
    return Sender(outbox, channel, now, hooks=hooks)


def webhook_check(settings: Settings) -> Callable[[str], object] | None:
    """Return a check that raises RefusedUrl for URLs that webhooks may not be sent to.

    Returns None if no secret is set to sign webhooks; raises ValueError for a bad one.
    """
    if not webhook_keys(settings):
        return None
    return partial(urls.checked, rules=_webhook_rules(settings))


def _webhook_rules(settings: Settings) -> UrlRules:
    is_private = settings.allow_private_webhooks
    schemes = ("https", "http") if is_private else ("https",)
    return UrlRules(schemes, settings.webhook_hosts, has_private=is_private)


def webhook_keys(settings: Settings) -> list[bytes]:
    """Return the keys that sign webhooks; ValueError for a bad secret."""
    secrets = [secret.get_secret_value() for secret in settings.webhook_secrets]
    try:
        return signing.keys_of(secrets)
    except ValueError as err:
        raise ValueError(f"STEMSERVE_WEBHOOK_SECRETS: {err}") from err
