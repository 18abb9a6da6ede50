"""An HTTP client of the service that retries all requests."""

import hashlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

_PAUSE_SECONDS = 0.5
_AT_ONCE = 4
_OVER = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Sent:
    """A song that the service has accepted."""

    job_id: str
    song: Path


class Client:
    """Sends songs, waits for their jobs and downloads stems, with retries."""

    def __init__(self, url: str, webhook_url: str, timeout_seconds: float) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)
        self._webhook_url = webhook_url
        self._timeout_seconds = timeout_seconds
        self.retries = 0

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send_all(self, songs: list[Path], reused_each: int = 0) -> list[Sent]:
        """Send all songs; one in `reused_each` may reuse stems of an earlier job."""

        def send(numbered: tuple[int, Path]) -> Sent:
            number, song = numbered
            is_reused = reused_each and number % reused_each == 0
            return self._send(song, is_new=not is_reused)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(send, enumerate(songs)))

    def _send(self, song: Path, is_new: bool) -> Sent:
        headers = {"Idempotency-Key": uuid4().hex}
        if is_new:
            headers["Cache-Control"] = "no-cache"
        response = self._request(
            "POST",
            "/separate",
            files={"file": (song.name, song.read_bytes())},
            data={"webhook_url": self._webhook_url},
            headers=headers,
        )
        return Sent(response.json()["job_id"], song)

    def wait(self, job_id: str) -> Mapping[str, Any]:
        """Return the job once it has ended, with the status `lost` for a 404."""
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            response = self._request(
                "GET", f"/job/{job_id}", params={"wait": 10}, gone=True
            )
            if response.status_code == httpx.codes.NOT_FOUND:
                return {"status": "lost"}
            job: Mapping[str, Any] = response.json()
            if job["status"] in _OVER or time.monotonic() > deadline:
                return job

    def hashes(self, job: Mapping[str, Any]) -> dict[str, str]:
        """Download all stems of a completed job; return their hashes by name."""
        return {
            name: hashlib.sha256(
                self._request("GET", stem["download_url"]).content
            ).hexdigest()
            for name, stem in job["stems"].items()
        }

    def delete(self, job_id: str) -> None:
        """Delete a job and its files."""
        self._request("DELETE", f"/job/{job_id}", gone=True)

    def answers(self, path: str) -> bool:
        """Return whether a single GET of `path` succeeds."""
        try:
            return httpx.get(f"{self._http.base_url}{path}", timeout=5).is_success
        except httpx.TransportError:
            return False

    def _request(
        self, method: str, path: str, gone: bool = False, **more: Any
    ) -> httpx.Response:
        """Send a request; retry it until it succeeds, or with `gone` returns 404."""
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            try:
                response = self._http.request(method, path, **more)
                if response.is_success or (gone and response.status_code == 404):
                    return response
                reason = f"{response.status_code}: {response.text[:300]}"
                if response.is_client_error and response.status_code not in (408, 429):
                    raise RuntimeError(f"{method} {path} failed: {reason}")
            except httpx.TransportError as err:
                reason = repr(err)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{method} {path} timed out: {reason}")
            self.retries += 1
            time.sleep(_PAUSE_SECONDS)
