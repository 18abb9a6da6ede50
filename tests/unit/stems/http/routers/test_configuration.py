"""What clients know before they upload."""

from dataclasses import asdict, replace

import pytest

from serve_app.separation.licences import BY_MODEL
from serve_app.stems.http.services import Models
from tests.unit.server import INFOS, LIMITS, Server

pytestmark = pytest.mark.anyio


async def test_the_configuration_is_what_clients_need(server: Server) -> None:
    config = (await server.client.get("/config")).json()
    assert config["hf_space_url"] == ""
    assert config["max_upload_bytes"] == LIMITS.max_upload_bytes
    assert config["formats"][0] == "wav"
    assert config["max_file_size_mb"] == LIMITS.max_upload_bytes / 1024**2
    assert {"mp3", "wav", "flac", "m4a"} <= set(config["supported_formats"])
    async with server.with_services(public_url="https://space.example") as client:
        config = (await client.get("/config")).json()
    assert config["hf_space_url"] == "https://space.example"


async def test_the_models_are_listed(server: Server) -> None:
    listed = (await server.client.get("/models")).json()
    assert listed["count"] == len(INFOS)
    assert [model["name"] for model in listed["models"]] == ["demo", "duo"]
    assert [model["default"] for model in listed["models"]] == [True, False]
    assert listed["models"][0]["trained_on"] == "synthetic music"


async def test_models_are_listed_with_their_licences_unless_they_are_refused(
    server: Server,
) -> None:
    demo = replace(INFOS[0], licences=BY_MODEL["demo"])
    duo = replace(INFOS[1], refusal="Its licence is not allowed.")
    async with server.with_services(models=Models((demo, duo), "demo")) as client:
        listed = (await client.get("/models")).json()
    assert [model["name"] for model in listed["models"]] == ["demo"]
    assert listed["models"][0]["licences"] == asdict(BY_MODEL["demo"])
