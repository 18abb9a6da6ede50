"""A running service as its clients see it; written from the HTTP contract alone."""

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
    """Where the service answers, and where it keeps its data."""

    url: str
    data_dir: Path

    def submit(self, song: Path, **options: str) -> str:
        """Upload a song to be computed, also if it was before; return the job's id."""
        with song.open("rb") as file:
            answer = httpx.post(
                f"{self.url}/separate",
                files={"file": (song.name, file)},
                data=options,
                headers={"Cache-Control": "no-cache"},
                timeout=60,
            )
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["success"] is True
        assert body["status"] == "pending"
        return str(body["job_id"])

    def job(
        self, job_id: str, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the job as it stands; 404 is an error here."""
        # A replica that was just killed costs a client a retry, as it does in life.
        for _ in range(50):
            try:
                url = f"{self.url}/job/{job_id}"
                answer = httpx.get(url, headers=headers, timeout=10)
            except httpx.TransportError:
                time.sleep(POLL_SECONDS)
                continue
            if answer.status_code < 500:
                break
            time.sleep(POLL_SECONDS)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def listed(self) -> list[dict[str, Any]]:
        """Return the newest jobs, the newest first."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/jobs").json()["jobs"]
        return found

    def health(self) -> dict[str, Any]:
        """Return what the service says of itself."""
        body: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=10).json()
        return body

    def is_ready(self) -> bool:
        """Whether jobs can be done now; versions before have no `/readyz` to ask."""
        try:
            answer = httpx.get(f"{self.url}/health", timeout=5)
        except httpx.TransportError:
            return False
        return answer.is_success and bool(answer.json()["ready"])

    def wait(self, job_id: str, timeout_seconds: float = 90.0) -> dict[str, Any]:
        """Poll until the job is over."""
        return self.wait_until(
            job_id,
            lambda job: job["status"] in ("completed", "failed", "cancelled"),
            timeout_seconds,
        )

    def wait_until(
        self, job_id: str, condition: Any, timeout_seconds: float = 60.0
    ) -> dict[str, Any]:
        """Poll until `condition` holds of the job."""
        end = time.monotonic() + timeout_seconds
        while time.monotonic() < end:
            job = self.job(job_id)
            if condition(job):
                return job
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"gave up on {job}")

    def stem(self, job: Mapping[str, Any], name: str) -> bytes:
        """Download a stem by its `download_url`, relative or absolute."""
        url = httpx.URL(self.url).join(job["stems"][name]["download_url"])
        answer = httpx.get(url, timeout=60)
        answer.raise_for_status()
        assert len(answer.content) == job["stems"][name]["size"]
        return answer.content

    def stems(
        self, job: Mapping[str, Any], directory: Path
    ) -> dict[str, NDArray[np.float32]]:
        """Download every stem; give them as (samples, 2)."""
        waves = {}
        for name in job["stems"]:
            path = directory / f"{job['job_id']}-{name}.wav"
            path.write_bytes(self.stem(job, name))
            waves[name], _ = soundfile.read(path, dtype="float32")
        return waves

    def files(self) -> list[Path]:
        """Every file of a job that the service keeps, in storage or temp."""
        roots = (self.data_dir / "files", self.data_dir / "tmp")
        return [path for root in roots for path in root.rglob("*") if path.is_file()]


def wait_for(condition: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def replica_processes(deployment: str) -> list[psutil.Process]:
    """Return this session's replicas of a deployment."""
    return processes(f"ServeReplica:stemserve:{deployment}")


def processes(marker: str) -> list[psutil.Process]:
    """Return the processes below this one whose command holds `marker`."""
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
