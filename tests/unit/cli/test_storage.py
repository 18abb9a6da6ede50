"""`stemserve storage` sets expiry rules on buckets."""

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.storage.addresses import Bucket
from tests.s3 import S3Server


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Yield a bucket that the settings name."""
    with s3.new_bucket() as bucket:
        place = f"s3://{bucket.name}/jobs?endpoint_url={s3.url}&region={bucket.region}"
        monkeypatch.setenv("STEMSERVE_STORAGE", place)
        yield bucket


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["storage", "lifecycle", *arguments])


def test_what_was_set_is_told(s3: S3Server, bucket: Bucket) -> None:
    result = run("--days", "3")
    assert result.exit_code == 0, result.output
    assert (
        f"s3://{bucket.name}/jobs/stems/: files are deleted after 3 days"
        in result.stdout
    )
    rules = s3.client().get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    assert {rule["Expiration"]["Days"] for rule in rules} == {3}
    assert len(result.stdout.splitlines()) == len(rules)


@pytest.mark.usefixtures("bucket")
def test_no_file_goes_while_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSERVE_RETENTION_SECONDS", str(2 * 86_400 + 1))
    result = run("--days", "2")
    assert result.exit_code == 1
    assert "--days 3" in result.stderr
    assert run("--days", "3").exit_code == 0


@pytest.mark.parametrize(
    ("place", "exit_code"), [("", 1), ("songs", 1), ("ftp://host/x?k=hunter2", 2)]
)
def test_where_there_is_no_bucket_it_is_said(
    monkeypatch: pytest.MonkeyPatch, place: str, exit_code: int
) -> None:
    monkeypatch.setenv("STEMSERVE_STORAGE", place)
    result = run()
    assert result.exit_code == exit_code
    assert "STEMSERVE_STORAGE" in result.stderr
    assert "hunter2" not in result.output


def test_a_bucket_that_does_not_exist_is_said(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"s3://no-such-bucket?endpoint_url={s3.url}&region=us-east-1"
    monkeypatch.setenv("STEMSERVE_STORAGE", place)
    result = run()
    assert result.exit_code == 1
    assert "no-such-bucket" in result.stderr
