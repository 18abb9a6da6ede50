"""The real service with credentials: the command's keys come in, others stay out."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import media
from tests.serve.application import running_demo

ADMIN_KEY = "an-admin-key-of-the-operator-0123456789"
REVOKED_SECONDS = 5.0


class Closed:
    """A service that requires credentials."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self.url = url
        self._data_dir = data_dir

    def keys(self, *arguments: str) -> str:
        """Run `stemserve keys` on the service's database; return its output."""
        command = [sys.executable, "-m", "serve_app.cli", "keys", *arguments]
        environment = {"STEMSERVE_DATA_DIR": str(self._data_dir), "PATH": ""}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def client(self, key: str = "") -> httpx.Client:
        """Return a client with a key, or without one."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def closed(cluster: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    data_dir = tmp_path_factory.mktemp("data")
    with running_demo(cluster, data_dir, admin_key=ADMIN_KEY) as service:
        yield Closed(service.url, data_dir)


def test_a_song_belongs_to_the_tenant_of_its_key(
    closed: Closed, tmp_path: Path
) -> None:
    media.write_song(tmp_path / "song.wav", seconds=2.0)
    song = (tmp_path / "song.wav").read_bytes()
    with (
        closed.client(closed.keys("create", "ours")) as ours,
        closed.client(closed.keys("create", "theirs")) as theirs,
        closed.client() as nobody,
    ):
        assert nobody.get("/health").json()["access"] == "required"
        refused = nobody.post("/separate", files={"file": song})
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="stemserve"'
        job_id = ours.post("/separate", files={"file": song}).json()["job_id"]
        done = ours.get(f"/job/{job_id}?wait=60").json()
        assert done["status"] == "completed"
        statuses = [each.get(f"/job/{job_id}").status_code for each in (theirs, nobody)]
        assert statuses == [404, 401]


def test_a_revoked_key_is_refused_and_its_event_stream_ends(
    closed: Closed, tmp_path: Path
) -> None:
    media.write_song(tmp_path / "long.wav", seconds=200.0, sample_rate=22_050)
    song = (tmp_path / "long.wav").read_bytes()
    created = json.loads(closed.keys("create", "short-lived", "--json"))
    with closed.client(created["key"]) as client:
        job_id = client.post("/separate", files={"file": song}).json()["job_id"]
        with client.stream("GET", f"/job/{job_id}/events") as events:
            assert events.status_code == 200
            closed.keys("revoke", created["id"])
            began = time.monotonic()
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in events.iter_bytes():
                    pass
            assert time.monotonic() - began < REVOKED_SECONDS
        assert client.get(f"/job/{job_id}").status_code == 401


def test_an_admin_creates_keys_over_http(closed: Closed) -> None:
    with closed.client(ADMIN_KEY) as admin:
        created = admin.post("/keys", json={"name": "app", "scopes": ["stems:read"]})
    assert created.status_code == 201
    with closed.client(created.json()["key"]) as reader:
        assert reader.get("/jobs").status_code == 200
        refused = reader.post("/uploads", json={"filename": "a", "size_bytes": 1})
        assert refused.status_code == 403
        assert 'scope="stems:write"' in refused.headers["WWW-Authenticate"]
        assert reader.get("/keys").status_code == 403
