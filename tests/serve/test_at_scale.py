"""The service with Postgres and S3, with two replicas of each deployment."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import soundfile

from tests import media
from tests.databases import Postgres
from tests.s3 import S3Server
from tests.serve.application import running
from tests.serve.scaled import arguments
from tests.serve.service import STEMS, Service, replica_processes, wait_for


@pytest.fixture(scope="module")
def bucket_url(s3: S3Server) -> Iterator[str]:
    with s3.new_bucket() as bucket:
        yield f"s3://{bucket.name}/jobs?endpoint_url={s3.url}&region={bucket.region}"


@pytest.fixture(scope="module")
def scaled(
    cluster: int,
    postgres: Postgres,
    bucket_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    data_dir = tmp_path_factory.mktemp("data")
    with postgres.new_database() as database_url:
        args = arguments(
            *(database_url, bucket_url, data_dir),
            separators=2,
            download_link_seconds=60,
        )
        with running(cluster, args, data_dir) as service:
            yield service


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    media.write_song(path, seconds=60.0, sample_rate=22_050)
    return path


def stored(s3: S3Server, bucket_url: str) -> list[str]:
    bucket = bucket_url.removeprefix("s3://").partition("/")[0]
    found = s3.client().list_objects_v2(Bucket=bucket).get("Contents", [])
    return sorted(entry["Key"] for entry in found)


def fetched(job: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    """Download all stems by their presigned URLs; return their hashes."""
    hashes = {}
    for name in STEMS:
        response = httpx.get(job["stems"][name]["download_url"], timeout=60)
        assert response.status_code == 200
        assert response.headers["content-type"] == "audio/wav"
        assert f"song_{name}.wav" in response.headers["content-disposition"]
        hashes[name] = hashlib.sha256(response.content).hexdigest()
        assert hashes[name] == job["stems"][name]["sha256"]
    return hashes


def test_a_song_goes_through_postgres_and_s3(
    scaled: Service, song: Path, s3: S3Server, bucket_url: str
) -> None:
    job_id = scaled.submit(song)
    job = scaled.wait(job_id)
    assert job["status"] == "completed", job
    assert len(set(fetched(job).values())) == len(STEMS)
    # The Api serves them too.
    direct = httpx.get(f"{scaled.url}/job/{job_id}/stems/drums", timeout=60)
    digest = hashlib.sha256(direct.content).hexdigest()
    assert digest == job["stems"]["drums"]["sha256"]
    kept = [f"jobs/originals/{job_id}"]
    kept += [f"jobs/stems/{job_id}/1/{name}.wav" for name in STEMS]
    kept += [f"jobs/derived/{job_id}/mix.{kind}" for kind in ("json", "waveform")]
    wait_for(lambda: stored(s3, bucket_url) == sorted(kept))
    assert scaled.files() == []
    httpx.delete(f"{scaled.url}/job/{job_id}").raise_for_status()
    assert stored(s3, bucket_url) == []


def test_a_killed_separator_costs_nothing_that_was_stored(
    scaled: Service, song: Path
) -> None:
    calm = fetched(scaled.wait(scaled.submit(song)))
    job_id = scaled.submit(song)
    scaled.wait_until(job_id, lambda job: job["progress"] > 50)
    for process in replica_processes("Separator"):
        process.kill()
    job = scaled.wait(job_id)
    assert job["status"] == "completed", job
    assert fetched(job) == calm


def test_jobs_of_several_clients_are_each_done_once(
    scaled: Service, song: Path, s3: S3Server, bucket_url: str
) -> None:
    jobs = [scaled.submit(song) for _ in range(4)]
    done = [scaled.wait(job_id) for job_id in jobs]
    assert [job["status"] for job in done] == ["completed"] * 4
    for job_id in jobs:
        mine = [key for key in stored(s3, bucket_url) if job_id in key]
        # The song, its stems, its report and its waveform.
        assert len(mine) == 1 + len(STEMS) + 2


def test_the_same_song_is_computed_once_for_all_who_want_it(
    scaled: Service, song: Path, tmp_path: Path
) -> None:
    # Not the song of the other tests, but a quieter copy.
    wave, sample_rate = soundfile.read(song, dtype="int16")
    twin = tmp_path / "song.wav"
    soundfile.write(twin, wave // 2, sample_rate)

    def submit() -> dict[str, str]:
        files = {"file": ("song.wav", twin.read_bytes())}
        response = httpx.post(f"{scaled.url}/separate", files=files, timeout=60)
        accepted: dict[str, str] = response.raise_for_status().json()
        return accepted

    at_once = [submit()["job_id"] for _ in range(3)]
    done = [scaled.wait(job_id) for job_id in at_once]
    assert [job["status"] for job in done] == ["completed"] * 3
    assert sorted(str(job.get("cache")) for job in done) == ["None", "hit", "hit"]
    later = submit()
    assert (later["status"], later["cache"]) == ("pending", "hit")
    done.append(scaled.job(later["job_id"]))
    hashes = [fetched(job) for job in done]
    assert all(found == hashes[0] for found in hashes)
