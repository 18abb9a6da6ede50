"""Applications that run `stems` have the page, with a policy by the settings."""

import pytest

from deployments import page
from serve_app.page.http.part import Page
from serve_app.settings import Settings

BUCKET = "s3://songs/a?endpoint_url=http://store.example:9000&region=here"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def policy(settings: Settings) -> str:
    (part,) = page.parts(settings, ["stems"])
    served = part.state["page"]
    assert isinstance(served, Page)
    return served.policy


def test_only_applications_with_songs_have_the_page() -> None:
    assert page.parts(Settings(), ["images", "stems"])
    assert not page.parts(Settings(), ["images"])
    assert not page.parts(Settings(page=False), ["stems"])


def test_a_space_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "frame-ancestors 'none'" in policy(Settings())
    monkeypatch.setenv("SPACE_ID", "me/stems")
    assert "frame-ancestors https://huggingface.co https://*" in policy(Settings())


def test_signed_urls_lead_to_a_store_that_the_page_may_read() -> None:
    settings = Settings(storage=(BUCKET,), download_link_seconds=60)
    assert "connect-src 'self' http://store.example:9000;" in policy(settings)


def test_without_signed_urls_the_page_reads_from_its_server_only() -> None:
    assert "connect-src 'self';" in policy(Settings(storage=(BUCKET,)))
    assert "connect-src 'self';" in policy(Settings(download_link_seconds=60))
