from types import SimpleNamespace

import pytest
import torch

from serve_app.diffusion import devices

GPU, CPU, MPS = (torch.device(name) for name in ("cuda", "cpu", "mps"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), True),
        (MemoryError(), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_all_devices_lack_of_memory_is_known(error: Exception, expected: bool) -> None:
    assert devices.is_out_of_memory(error) is expected


@pytest.mark.parametrize(("gigabytes", "expected"), [(6, True), (24, False)])
def test_images_are_decoded_in_tiles_on_small_gpus_only(
    gigabytes: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(total_memory=gigabytes * 1024**3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: found)
    assert devices.is_small(GPU) is expected
    assert devices.is_small(CPU) is False


def test_a_gpu_is_preferred_and_found_by_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.resolve("auto") == (GPU, ())
    assert devices.resolve("cuda:1") == (torch.device("cuda:1"), ())
    device, [note] = devices.resolve("cuda:2")
    assert (device, "cuda:2" in note) == (GPU, True)
    assert devices.resolve("cpu") == (CPU, ())


def test_macs_use_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.resolve("") == (MPS, ())
    assert devices.resolve("mps") == (MPS, ())
    assert devices.precision("auto", MPS) == ("fp32", ())


def test_gpus_compute_in_half_precision() -> None:
    assert devices.precision("auto", GPU) == ("fp16", ())
    assert devices.precision("bf16", GPU) == ("bf16", ())


def test_the_cache_of_the_device_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cuda"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append("mps"))
    for device in (GPU, CPU, MPS):
        devices.free_cache(device)
    assert emptied == ["cuda", "mps"]


def test_threads_are_one_per_core_or_as_asked() -> None:
    assert devices.cores(3) == 3
    assert devices.cores(0) >= 1
