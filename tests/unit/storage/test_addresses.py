import pytest

from serve_app.storage import addresses
from serve_app.storage.addresses import Bucket


@pytest.mark.parametrize(
    ("place", "bucket"),
    [
        ("s3://songs", Bucket("songs")),
        ("s3://songs/", Bucket("songs")),
        ("s3://songs/a/b/", Bucket("songs", "a/b")),
        (
            "s3://songs/a?endpoint_url=https://store.example:9000&region=here",
            Bucket("songs", "a", "https://store.example:9000", "here"),
        ),
    ],
)
def test_a_bucket_is_read_from_its_address(place: str, bucket: Bucket) -> None:
    assert not addresses.is_directory(place)
    assert addresses.bucket(place, "STEMSERVE_STORAGE") == bucket


@pytest.mark.parametrize(
    "place", ["songs", "s3://", "s3:///a", "https://s/a?k=hunter2"]
)
def test_what_is_no_bucket_is_refused_without_its_secrets(place: str) -> None:
    with pytest.raises(ValueError, match="STEMSERVE_STORAGE") as caught:
        addresses.bucket(place, "STEMSERVE_STORAGE")
    assert "hunter2" not in str(caught.value)


def test_a_path_is_a_directory() -> None:
    assert addresses.is_directory("/srv/songs")
