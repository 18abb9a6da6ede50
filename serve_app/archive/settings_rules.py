"""Checks of the archive's settings."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from serve_app.archive.stores import name_of
from serve_app.settings import Settings
from serve_app.settings.check import (
    Rule,
    check_directory,
    check_hosts,
    is_web,
    needs,
    shown,
)
from serve_app.storage import addresses

# The old API's tables have numbers for this many.
MOST_STORES = 5
_REPOSITORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,95}")


def _check_stores(settings: Settings) -> None:
    places = settings.archive_stores
    if len(places) > MOST_STORES:
        raise ValueError(f"must list at most {MOST_STORES} stores, got {len(places)}")
    names = [name_of(place) for place in places]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"lists {shown(name)} twice; list each store once")
    for place in places:
        _check_place(place)


def _check_place(place: str) -> None:
    if addresses.is_directory(place):
        check_directory(Path(place))
        return
    bucket = addresses.parsed(place)
    if bucket.endpoint_url is not None and not is_web(bucket.endpoint_url):
        raise ValueError("its endpoint_url must begin with http:// or https://")
    needs("boto3", "s3")


def _check_token(number: int, settings: Settings) -> None:
    user, token = _account(number, settings)
    if token and not user:
        raise ValueError(
            "a token needs the name of its account: set "
            f"HF_STORAGE_USERNAME_{number} too"
        )
    if token:
        needs("huggingface_hub", "hub")


def _check_user(number: int, settings: Settings) -> None:
    user, token = _account(number, settings)
    if user and not _USER.fullmatch(user):
        raise ValueError("must be the name of an account of Hugging Face")
    if user and not token:
        raise ValueError(
            "an account needs a token that may write: set "
            f"HF_TOKEN_STORAGE_{number} too"
        )


def _account(number: int, settings: Settings) -> tuple[str, str]:
    token = getattr(settings, f"archive_hub_token_{number}").get_secret_value()
    return getattr(settings, f"archive_hub_user_{number}"), token


def _check_repository(settings: Settings) -> None:
    name = settings.archive_hub_repository
    if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise ValueError(
            "must be the name of a dataset without its account, such as video-archive"
        )
    accounts = settings.archive_hub_accounts
    users = [user for user, _ in accounts.values()]
    for number, (user, _) in accounts.items():
        if users.count(user) > 1:
            raise ValueError(
                f"store {number} is the account {user}, which is another store too; "
                "set HF_STORAGE_USERNAME_n to each account once"
            )


def _each(check: Callable[[int, Settings], None], name: str) -> dict[str, Rule]:
    numbers = range(1, MOST_STORES + 1)
    return {f"{name}_{number}": partial(check, number) for number in numbers}


def _check_networks(settings: Settings) -> None:
    for each in settings.archive_allow_networks:
        try:
            ip_network(each)
        except ValueError as err:
            raise ValueError(f"{shown(each)} must be a network: {err}") from err


def _check_url(settings: Settings) -> None:
    url = settings.archive_url
    if url and (not is_web(url) or {"?", "#"} & set(url)):
        raise ValueError(
            "must begin with http:// or https://, and have no query and no fragment"
        )
    if not url and (settings.archive_database_url or settings.archive_supabase_url):
        raise ValueError(
            "is required with the old API's tables: their URLs must be absolute, as in "
            "https://stream.example.com"
        )


def _check_salt(settings: Settings) -> None:
    if settings.archive_hub_accounts and not settings.archive_name_salt:
        raise ValueError(
            "is required with accounts of Hugging Face: their repositories are public, "
            "so nobody may guess the names of media. Set HF_FILE_SALT to the output of "
            "`openssl rand -hex 32`"
        )


def _check_database(settings: Settings) -> None:
    url = settings.archive_database_url.get_secret_value()
    if not url:
        return
    if urlsplit(url).scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise ValueError("must be the URL of a Postgres, as in postgresql://host/name")
    needs("psycopg", "postgres")


def _check_supabase(settings: Settings) -> None:
    url = settings.archive_supabase_url
    if url and not is_web(url):
        raise ValueError("must be the URL of a project, beginning with https://")
    if url and not settings.archive_supabase_key:
        raise ValueError("needs a key that may write: set SUPABASE_SERVICE_ROLE_KEY")
    if url:
        needs("postgrest", "archive")


def _check_hosts(settings: Settings) -> None:
    check_hosts(settings.archive_hosts)
    needs("m3u8", "archive")


RULES: Mapping[str, Rule] = {
    "archive_hosts": _check_hosts,
    "archive_allow_networks": _check_networks,
    "archive_url": _check_url,
    "archive_salt": _check_salt,
    "archive_database_url": _check_database,
    "archive_supabase_url": _check_supabase,
    "archive_stores": _check_stores,
    **_each(_check_token, "archive_hub_token"),
    **_each(_check_user, "archive_hub_user"),
    "archive_hub_repository": _check_repository,
}
