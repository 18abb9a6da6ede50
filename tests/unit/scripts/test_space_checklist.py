"""The checklist of docs/operations/space.md, with what people set in a Space."""

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from serve_app.settings import check
from tests.unit.server import Server

PAGE = Path(__file__).parents[3] / "docs" / "operations" / "space.md"
ORIGIN = "https://app.example.com"
# Empty ones, those of other services, and a list as a person writes it.
VARIABLES = {
    "ALLOW_ORIGINS": f" {ORIGIN} , ,http://localhost:5173, ",
    "CORS_ORIGINS": "",
    "DATABASE_URL": "",
    "BETTER_AUTH_URL": "",
    "JWKS_URL": " ",
    "JWT_SECRET_KEY": "dev-secret-change-in-production",
    "HUGGINGFACEHUB_API_TOKEN": "hf_token",
    "HF_SPACE_URL": "",
    "SPACE_ID": "me/stems",
    "SPACE_HOST": "me-stems.hf.space",
}


@asynccontextmanager
async def listening(server: Server, origins: tuple[str, ...]) -> AsyncIterator[str]:
    """Serve the application on loopback; yield its URL."""
    app = server.app_with(cors_origins=origins)
    config = uvicorn.Config(app, log_level="warning", lifespan="off")
    uvicorn_server = uvicorn.Server(config)
    # Connections wait in its queue until the server has started.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(uvicorn_server.serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        uvicorn_server.should_exit = True
        await task


@pytest.mark.anyio
async def test_the_checklist_passes_with_the_variables_of_a_space(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    settings = check.read()
    assert settings.database_url is None
    assert settings.effective_jwks_url == ""
    marked = re.findall(
        r"<!-- tested: (\w+) -->\n```sh\n(.*?)```", PAGE.read_text(), re.S
    )
    printed = {}
    async with listening(server, settings.cors_origins) as url:
        variables = {"space": url, "origin": ORIGIN, "TOKEN": "a-token"}
        for title, command in marked:
            done = await asyncio.to_thread(
                subprocess.run,
                ["sh", "-c", command],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                timeout=30,
            )
            assert done.returncode == 0, f"{title}: {done.stderr}"
            printed[title] = done.stdout.strip()
    assert '"ready":true' in printed.pop("ready")
    assert printed == {
        "health": "200",
        "cors": f"access-control-allow-origin: {ORIGIN}",
        "token": "200",
    }
