"""A client that does not give up, and knows what it was promised."""

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
    """Hands songs in, waits for them and fetches them, however often it must ask."""

    def __init__(self, url: str, webhook_url: str, patience_seconds: float) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)
        self._webhook_url = webhook_url
        self._patience_seconds = patience_seconds
        self.asked_again = 0

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send_all(self, songs: list[Path], reused_each: int = 0) -> list[Sent]:
        """Hand all songs in; of each so many, one may be given what is there."""

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
        answer = self._ask(
            "POST",
            "/separate",
            files={"file": (song.name, song.read_bytes())},
            data={"webhook_url": self._webhook_url},
            headers=headers,
        )
        return Sent(answer.json()["job_id"], song)

    def wait(self, job_id: str) -> Mapping[str, Any]:
        """Return the job once it is over; `lost` when the service does not know it."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            answer = self._ask("GET", f"/job/{job_id}", params={"wait": 10}, gone=True)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return {"status": "lost"}
            job: Mapping[str, Any] = answer.json()
            if job["status"] in _OVER or time.monotonic() > deadline:
                return job

    def hashes(self, job: Mapping[str, Any]) -> dict[str, str]:
        """Fetch all stems of a job that is completed; return their hashes by name."""
        return {
            name: hashlib.sha256(
                self._ask("GET", stem["download_url"]).content
            ).hexdigest()
            for name, stem in job["stems"].items()
        }

    def delete(self, job_id: str) -> None:
        """Delete a job and its files."""
        self._ask("DELETE", f"/job/{job_id}", gone=True)

    def answers(self, path: str) -> bool:
        """Whether the service answers a question at once, with success."""
        try:
            return httpx.get(f"{self._http.base_url}{path}", timeout=5).is_success
        except httpx.TransportError:
            return False

    def _ask(
        self, method: str, path: str, gone: bool = False, **more: Any
    ) -> httpx.Response:
        """Ask until there is an answer that is no excuse."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            reason = "no answer"
            try:
                answer = self._http.request(method, path, **more)
                if answer.is_success or (gone and answer.status_code == 404):
                    return answer
                reason = f"{answer.status_code}: {answer.text[:300]}"
                if answer.is_client_error and answer.status_code not in (408, 429):
                    raise RuntimeError(f"{method} {path}: {reason}")
            except httpx.TransportError as err:
                reason = repr(err)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{method} {path} is not answered: {reason}")
            self.asked_again += 1
            time.sleep(_PAUSE_SECONDS)
