"""Lifecycle rules of a bucket, for files that the sweeps have missed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from serve_app.storage import keys
from serve_app.storage.addresses import Bucket
from serve_app.storage.connection import Connection, code_of

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import LifecycleRuleTypeDef

_ABORT_DAYS = 1


def expire(bucket: Bucket, days: int, folders: Sequence[str]) -> Sequence[str]:
    """Make `bucket` delete files in `folders`, and partial files, after `days`.

    Unfinished multipart uploads are deleted after one day. Other rules and other files
    of the bucket are unchanged. Returns the prefixes that have a rule now. Raises
    StorageUnavailable if the bucket refuses the rules.
    """
    connection = Connection(bucket)
    prefix = f"{keys.folder(bucket.prefix)}/" if bucket.prefix else ""
    places = [f"{prefix}{folder}/" for folder in (*folders, "partial")]
    ours = [_rule(place, days) for place in places]
    names = {rule["ID"] for rule in ours}
    others = [rule for rule in _rules(connection) if rule.get("ID") not in names]
    with connection.translated(prefix):
        connection.client.put_bucket_lifecycle_configuration(
            Bucket=bucket.name, LifecycleConfiguration={"Rules": [*others, *ours]}
        )
    return places


def _rules(connection: Connection) -> list[Any]:
    with connection.translated(""):
        try:
            answer = connection.client.get_bucket_lifecycle_configuration(
                Bucket=connection.bucket.name
            )
        except ClientError as err:
            if code_of(err) == "NoSuchLifecycleConfiguration":
                return []
            raise
    return answer.get("Rules", [])


def _rule(folder: str, days: int) -> "LifecycleRuleTypeDef":
    return {
        "ID": f"stemserve {folder}",
        "Filter": {"Prefix": folder},
        "Status": "Enabled",
        "Expiration": {"Days": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _ABORT_DAYS},
    }
