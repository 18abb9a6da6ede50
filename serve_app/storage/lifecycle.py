"""Rules by which a bucket itself deletes what a sweep has missed."""

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
    """Have `bucket` delete what is in `folders` after `days`, and unfinished files.

    These after one day.

    Its other rules stay, and so does what else lies in it. Returns the places that have
    a rule now. Raises StorageUnavailable when the bucket does not take them.
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
