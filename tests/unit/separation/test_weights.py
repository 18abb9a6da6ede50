import hashlib
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import save_file

from serve_app.errors import StorageFull, WeightsUnavailable
from serve_app.separation.licences import BY_MODEL
from serve_app.separation.models import ModelSpec, WeightsSource, find
from serve_app.separation.weights import WeightsCache, load
from serve_app.separation.windows import WindowSpec
from tests.disks import SmallDisk
from tests.unit.separation.conftest import FileServer

BODY = bytes(range(256)) * 64


def make_small(sources: tuple[str, ...]) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(2, len(sources)), torch.nn.Dropout())


def small_spec(address: str, sha256: str | None = None) -> ModelSpec:
    return ModelSpec(
        name="small",
        sources=("this", "that"),
        sample_rate=44_100,
        window=WindowSpec(4096, 2048),
        make=make_small,
        weights=WeightsSource(address, sha256),
        licences=BY_MODEL["demo"],
        trained_on="nothing",
        description="for tests",
    )


@pytest.fixture
def spec(file_server: FileServer) -> ModelSpec:
    file_server.files["weights.pt"] = BODY
    return small_spec(f"{file_server.url}/weights.pt")


@pytest.fixture
def cache(tmp_path: Path) -> WeightsCache:
    return WeightsCache(tmp_path / "cache", timeout_seconds=5)


def contents(cache_dir: Path) -> set[str]:
    return {path.name for path in cache_dir.iterdir()}


def test_weights_are_not_here_until_they_are_pulled(
    cache: WeightsCache, spec: ModelSpec
) -> None:
    assert cache.path(spec) is None
    path = cache.pull(spec)
    assert cache.path(spec) == path
    assert path.read_bytes() == BODY


def test_a_pull_leaves_the_weights_and_the_record_of_their_hash(
    cache: WeightsCache, spec: ModelSpec, tmp_path: Path
) -> None:
    cache.pull(spec)
    left = contents(tmp_path / "cache") - {"weights.pt.lock"}
    assert left == {"weights.pt", "weights.pt.sha256"}
    record = (tmp_path / "cache" / "weights.pt.sha256").read_text()
    assert record.strip() == hashlib.sha256(BODY).hexdigest()


def test_a_second_pull_fetches_nothing(
    cache: WeightsCache, spec: ModelSpec, file_server: FileServer
) -> None:
    assert cache.pull(spec) == cache.pull(spec)
    assert len(file_server.asked_ranges) == 1


def test_a_pull_goes_on_after_a_cut_and_reports_progress(
    cache: WeightsCache, spec: ModelSpec, file_server: FileServer
) -> None:
    file_server.cuts = 1
    seen: list[tuple[int, int | None]] = []
    path = cache.pull(spec, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert file_server.asked_ranges == [None, f"bytes={len(BODY) // 2}-"]
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_pinned_hash_that_fits_is_accepted(
    cache: WeightsCache, spec: ModelSpec
) -> None:
    pinned = small_spec(spec.weights.address, hashlib.sha256(BODY).hexdigest())
    assert cache.pull(pinned).read_bytes() == BODY


def test_a_wrong_hash_is_refused_and_nothing_is_kept(
    cache: WeightsCache, spec: ModelSpec, tmp_path: Path
) -> None:
    pinned = small_spec(spec.weights.address, "0" * 64)
    with pytest.raises(WeightsUnavailable, match=f"were deleted: .* not {'0' * 64}"):
        cache.pull(pinned)
    assert cache.path(pinned) is None
    assert contents(tmp_path / "cache") <= {"weights.pt.lock"}


def test_weights_that_were_damaged_are_pulled_again(
    cache: WeightsCache, spec: ModelSpec
) -> None:
    cache.pull(spec).write_bytes(b"damaged")
    assert cache.pull(spec).read_bytes() == BODY


def test_other_weights_than_those_recorded_are_refused(
    cache: WeightsCache, spec: ModelSpec, file_server: FileServer
) -> None:
    cache.pull(spec).unlink()
    file_server.files["weights.pt"] = BODY[::-1]
    with pytest.raises(WeightsUnavailable, match="SHA-256"):
        cache.pull(spec)
    assert cache.path(spec) is None


def test_replicas_that_pull_together_download_once(
    tmp_path: Path, spec: ModelSpec, file_server: FileServer
) -> None:
    """Each replica has its own cache object, like a separate process."""
    found: list[bytes] = []

    def pull() -> None:
        found.append(WeightsCache(tmp_path / "cache").pull(spec).read_bytes())

    threads = [Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [BODY] * 4
    assert len(file_server.asked_ranges) == 1


def test_a_mirror_at_an_url_replaces_the_public_address(
    tmp_path: Path, file_server: FileServer
) -> None:
    file_server.files["mirror/weights.pt"] = BODY
    spec = small_spec("https://unreachable.invalid/weights.pt")
    cache = WeightsCache(tmp_path, mirror=f"{file_server.url}/mirror/")
    assert cache.pull(spec).read_bytes() == BODY


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/weights.pt"])
def test_a_mirror_may_be_a_directory_or_a_file(tmp_path: Path, form: str) -> None:
    mirror = tmp_path / "my mirror"
    mirror.mkdir()
    (mirror / "weights.pt").write_bytes(BODY)
    spec = small_spec("https://unreachable.invalid/weights.pt")
    cache = WeightsCache(tmp_path / "cache", mirror=form.format(mirror))
    assert cache.pull(spec).read_bytes() == BODY


def test_a_mirror_without_the_file_says_which_is_missing(tmp_path: Path) -> None:
    spec = small_spec("https://unreachable.invalid/weights.pt")
    cache = WeightsCache(tmp_path / "cache", mirror=str(tmp_path))
    with pytest.raises(WeightsUnavailable, match=r"has no .*weights\.pt"):
        cache.pull(spec)


def test_a_directory_that_cannot_be_written_says_what_to_set(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    spec = small_spec("https://unreachable.invalid/weights.pt")
    with pytest.raises(WeightsUnavailable, match="STEMSERVE_WEIGHTS_DIR"):
        WeightsCache(blocker / "cache").pull(spec)


def test_bundled_weights_are_here_without_a_cache(tmp_path: Path) -> None:
    cache = WeightsCache(tmp_path / "never made")
    demo = find("demo")
    assert cache.path(demo) == cache.pull(demo)
    assert not (tmp_path / "never made").exists()


def test_bundled_weights_that_are_missing_are_unavailable(
    cache: WeightsCache,
) -> None:
    with pytest.raises(WeightsUnavailable, match=r"Reinstall stemserve\."):
        cache.pull(small_spec("nowhere.safetensors"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept_as", [torch.float32, torch.float16])
def test_weights_are_loaded_as_float32_for_inference(
    tmp_path: Path, suffix: str, kept_as: torch.dtype
) -> None:
    spec = small_spec(f"weights{suffix}")
    state = {
        name: tensor.to(kept_as)
        for name, tensor in make_small(spec.sources).state_dict().items()
    }
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    network = load(spec, path)
    assert not network.training
    for name, parameter in network.named_parameters():
        assert parameter.dtype == torch.float32
        assert not parameter.requires_grad
        assert torch.equal(parameter, state[name].float())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    spec = small_spec("weights.pt")
    path = tmp_path / "weights.pt"
    torch.save(make_small(("one", "two", "three")).state_dict(), path)
    with pytest.raises(WeightsUnavailable, match="no weights for small") as caught:
        load(spec, path)
    assert len(caught.value.detail) < 600


class Harmful:
    """A malicious pickle: loading the object calls a function."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("harm",))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("body", [b"", b"<html>404</html>", BODY])
def test_a_file_that_holds_no_weights_is_refused(
    tmp_path: Path, suffix: str, body: bytes
) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(body)
    with pytest.raises(WeightsUnavailable, match="not a valid file of weights"):
        load(small_spec(path.name), path)


def test_a_checkpoint_that_would_run_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"0.weight": Harmful()}, path)
    with pytest.raises(
        WeightsUnavailable, match="not a valid file of weights"
    ) as caught:
        load(small_spec("weights.pt"), path)
    assert "harm" not in capsys.readouterr().out
    assert "weights_only" not in caught.value.detail


@pytest.mark.parametrize("state", [[1, 2], {"0.weight": 1.0}])
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, state: object
) -> None:
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    with pytest.raises(WeightsUnavailable, match="no weights for small"):
        load(small_spec("weights.pt"), path)


def test_weights_that_changed_since_the_pull_are_not_loaded(
    cache: WeightsCache, spec: ModelSpec
) -> None:
    path = cache.pull(spec)
    torch.save(make_small(spec.sources).state_dict(), path)
    with pytest.raises(WeightsUnavailable, match="changed since it was downloaded"):
        load(spec, path)


def test_weights_without_the_pinned_hash_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(make_small(("this", "that")).state_dict(), path)
    spec = small_spec("weights.pt", "0" * 64)
    with pytest.raises(WeightsUnavailable, match="changed since it was downloaded"):
        load(spec, path)
    right = WeightsSource("weights.pt", hashlib.sha256(path.read_bytes()).hexdigest())
    assert load(replace(spec, weights=right), path)


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="stemserve models pull small"):
        load(small_spec("weights.pt"), tmp_path / "weights.pt")


@pytest.mark.parametrize("is_local", [True, False], ids=["mirror", "download"])
def test_weights_that_find_no_room_are_not_a_jobs_fault(
    spec: ModelSpec, tmp_path: Path, small_disk: SmallDisk, is_local: bool
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "weights.pt").write_bytes(BODY)
    cache = WeightsCache(
        small_disk.path, mirror=str(mirror) if is_local else None, timeout_seconds=5
    )
    with small_disk.filled(4096), pytest.raises(StorageFull):
        cache.pull(spec)
    assert cache.pull(spec).read_bytes() == BODY
