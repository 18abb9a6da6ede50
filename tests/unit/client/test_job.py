"""Jobs in responses are validated, because they are untrusted."""

from typing import Any

import pytest

from serve_app.client.job import read_job

BASE = "http://host:8000/stems"


def job(name: str = "drums", **stem: Any) -> dict[str, Any]:
    listed = {"filename": "song_drums.wav", "download_url": "/job/1/stems/drums"}
    return {"status": "completed", "stems": {name: {**listed, **stem}}}


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("/job/1/stems/drums", f"{BASE}/job/1/stems/drums"),
        ("job/1/stems/drums", f"{BASE}/job/1/stems/drums"),
        ("https://s3.example/b/x?s=1", "https://s3.example/b/x?s=1"),
    ],
)
def test_relative_addresses_get_the_base_and_absolute_ones_stay(
    address: str, url: str
) -> None:
    (stem,) = read_job(job(download_url=address), BASE).stems
    assert stem.url == url


@pytest.mark.parametrize("name", ["../drums", "a/b", "", ".", "..", "drums\n", "é"])
def test_names_that_could_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a valid stem name"):
        read_job(job(name), BASE)


@pytest.mark.parametrize("filename", ["x.w v", "x.wav\n", "x.%2e"])
def test_suffixes_that_are_none_are_refused(filename: str) -> None:
    with pytest.raises(ValueError, match="not a valid stem name"):
        read_job(job(filename=filename), BASE)


@pytest.mark.parametrize("answer", [{}, {"status": 1}, {"status": "x", "stems": [1]}])
def test_what_is_no_job_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="job"):
        read_job(answer, BASE)


def test_a_job_of_the_least_that_is_promised_is_read() -> None:
    found = read_job({"status": "processing"}, BASE)
    assert (found.progress, found.stems, found.gain) == (0.0, (), 1.0)
