"""The service in a Hugging Face Space: with the variables that people set there."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serve.servers import own_server

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "space.md"
ORIGIN = "https://app.example.com"
TOKEN = "a-token-of-the-front-end-0123456789"  # noqa: S105  of this test
# Empty ones, those of other services, and a list as a person writes it.
VARIABLES = {
    "ALLOW_ORIGINS": f" {ORIGIN} , ,http://localhost:5173, ",
    "CORS_ORIGINS": "",
    "STEMSERVE_CORS_ORIGINS": "",
    "DATABASE_URL": "",
    "BETTER_AUTH_URL": "",
    "JWKS_URL": " ",
    "JWT_SECRET_KEY": "dev-secret-change-in-production",
    "HUGGINGFACEHUB_API_TOKEN": "hf_token",
    "HF_SPACE_URL": "",
    "SPACE_ID": "me/stems",
    "SPACE_HOST": "me-stems.hf.space",
    "STEMSERVE_ADMIN_KEY": TOKEN,
}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server with the variables; yield its URL."""
    root = tmp_path_factory.mktemp("space")
    everywhere = "0.0.0.0"  # noqa: S104  as in the image
    with own_server(
        root / "data", root / "server.log", host=everywhere, settings=VARIABLES
    ) as (service, _):
        yield service.url


@pytest.mark.parametrize(
    ("title", "printed"),
    [
        ("health", "200"),
        ("cors", f"access-control-allow-origin: {ORIGIN}"),
        ("token", "200"),
        ("ready", '"ready":true'),
    ],
)
def test_the_checklist_of_the_documentation_passes(
    space: str, title: str, printed: str
) -> None:
    marked = rf"<!-- tested: {title} -->\n```sh\n(.*?)```"
    (command,) = re.findall(marked, PAGE.read_text(), re.DOTALL)
    variables = {"space": space, "origin": ORIGIN, "TOKEN": TOKEN}
    done = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_the_proxy_of_the_hub_may_use_the_name_of_the_space(space: str) -> None:
    headers = {"Host": "me-stems.hf.space", "Origin": "https://me-stems.hf.space"}
    # From the Space's own page: its origin is allowed, only a token is missing.
    answer = httpx.post(f"{space}/separate", headers=headers)
    assert answer.status_code == 401
