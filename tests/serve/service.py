"""A client of the running service, written from the HTTP contract only."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import soundfile
from numpy.typing import NDArray

POLL_SECONDS = 0.2
STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class Service:
    """The URL of the service, and its data directory."""

    url: str
    data_dir: Path

    def submit(self, song: Path, **options: str) -> str:
        """Upload a song, bypassing cached results; return the job's id."""
        with song.open("rb") as file:
            response = httpx.post(
                f"{self.url}/separate",
                files={"file": (song.name, file)},
                data=options,
                headers={"Cache-Control": "no-cache"},
                timeout=60,
            )
        assert response.status_code == 200, response.text
        body = response.json()
        assert body["success"] is True
        assert body["status"] == "pending"
        return str(body["job_id"])

    def job(
        self, job_id: str, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the current state of the job; raises an error for 404."""
        # Retried, because replicas are killed in these tests.
        for _ in range(50):
            try:
                url = f"{self.url}/job/{job_id}"
                response = httpx.get(url, headers=headers, timeout=10)
            except httpx.TransportError:
                time.sleep(POLL_SECONDS)
                continue
            if response.status_code < 500:
                break
            time.sleep(POLL_SECONDS)
        response.raise_for_status()
        body: dict[str, Any] = response.json()
        return body

    def listed(self) -> list[dict[str, Any]]:
        """Return the listed jobs, newest first."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/jobs").json()["jobs"]
        return found

    def health(self) -> dict[str, Any]:
        """Return the body of /health."""
        body: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=10).json()
        return body

    def is_ready(self) -> bool:
        """Whether the service is ready, by /health: older versions have no /readyz."""
        try:
            response = httpx.get(f"{self.url}/health", timeout=5)
        except httpx.TransportError:
            return False
        return response.is_success and bool(response.json()["ready"])

    def wait(self, job_id: str, timeout_seconds: float = 90.0) -> dict[str, Any]:
        """Poll until the job has ended."""
        return self.wait_until(
            job_id,
            lambda job: job["status"] in ("completed", "failed", "cancelled"),
            timeout_seconds,
        )

    def wait_until(
        self, job_id: str, condition: Any, timeout_seconds: float = 60.0
    ) -> dict[str, Any]:
        """Poll until `condition(job)` is true."""
        end = time.monotonic() + timeout_seconds
        while time.monotonic() < end:
            job = self.job(job_id)
            if condition(job):
                return job
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"timeout: {job}")

    def stem(self, job: Mapping[str, Any], name: str) -> bytes:
        """Download a stem by its `download_url`, relative or absolute."""
        url = httpx.URL(self.url).join(job["stems"][name]["download_url"])
        response = httpx.get(url, timeout=60)
        response.raise_for_status()
        assert len(response.content) == job["stems"][name]["size"]
        return response.content

    def stems(
        self, job: Mapping[str, Any], directory: Path
    ) -> dict[str, NDArray[np.float32]]:
        """Download every stem; return them by name, (samples, 2)."""
        waves = {}
        for name in job["stems"]:
            path = directory / f"{job['job_id']}-{name}.wav"
            path.write_bytes(self.stem(job, name))
            waves[name], _ = soundfile.read(path, dtype="float32")
        return waves

    def files(self) -> list[Path]:
        """Return all files of jobs in the data directory, stored or temporary."""
        roots = (self.data_dir / "files", self.data_dir / "tmp")
        return [path for root in roots for path in root.rglob("*") if path.is_file()]


def wait_for(condition: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
    """Wait until `condition()` is true."""
    end = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < end, f"timeout after {timeout_seconds:g} s"
        time.sleep(0.1)


def replica_processes(deployment: str) -> list[psutil.Process]:
    """Return the processes of this session's replicas of a deployment."""
    return processes(f"ServeReplica:stemserve:{deployment}")


def processes(marker: str) -> list[psutil.Process]:
    """Return the descendants of this process whose command line contains `marker`."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if marker in " ".join(_command(process))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
