"""The guarantees of every backend: one parity suite, in dB."""

import copy
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchaudio.models import HDemucs

from serve_app.errors import InvalidInput, Unavailable
from serve_app.separation import networks
from serve_app.separation.backends import choice, devices, openvino
from serve_app.separation.backends.openvino import OpenVinoBackend
from serve_app.separation.backends.port import Backend, BackendOptions
from serve_app.separation.backends.pytorch import TorchBackend
from tests.unit.separation.test_hybrid import SOURCES, noise, ratio_db, stirred

WINDOW = 40_960
ON_CPU = BackendOptions("cpu", threads=1)

needs_openvino = pytest.mark.skipif(
    not openvino.is_installed(), reason="needs the extra `openvino`"
)
# (runtime, precision, least dB of each stem relative to torchaudio's float32)
KINDS = [
    pytest.param("torch", "fp32", 120, id="torch-fp32"),
    pytest.param("torch", "bf16", 35, id="torch-bf16"),
    pytest.param("openvino", "fp32", 80, id="openvino-fp32", marks=needs_openvino),
    pytest.param("openvino", "bf16", 35, id="openvino-bf16", marks=needs_openvino),
]


@pytest.fixture(scope="module")
def network() -> HDemucs:
    return stirred(networks.demo(SOURCES))


@pytest.fixture(scope="module")
def expected(network: HDemucs) -> Tensor:
    torch.set_num_threads(1)
    with torch.inference_mode():
        return network(_mixes())


def _mixes() -> Tensor:
    """Return two windows, one loud and one faint and silent for a while."""
    mixes = noise(2, 2, WINDOW)
    mixes[1] *= 0.01
    mixes[1, :, 10_000:20_000] = 0
    return mixes


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Convert each network once."""
    kept = replace(ON_CPU, cache_dir=tmp_path_factory.mktemp("openvino"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.ON_CPU", kept)
        yield


def _backend(network: nn.Module, options: BackendOptions) -> Backend:
    return choice.make(copy.deepcopy(network), WINDOW, options)


@pytest.mark.parametrize(("runtime", "precision", "least_db"), KINDS)
def test_stems_are_those_of_torchaudio(
    network: HDemucs, expected: Tensor, runtime: str, precision: str, least_db: float
) -> None:
    backend = _backend(network, replace(ON_CPU, runtime=runtime, precision=precision))
    found = backend.forward(_mixes())
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    for window in range(2):
        for stem in range(len(SOURCES)):
            assert ratio_db(expected[window, stem], found[window, stem]) > least_db


@pytest.mark.parametrize(("runtime", "precision", "least_db"), KINDS)
def test_a_window_s_stems_do_not_depend_on_its_batch(
    network: HDemucs, runtime: str, precision: str, least_db: float
) -> None:
    backend = _backend(network, replace(ON_CPU, runtime=runtime, precision=precision))
    together = backend.forward(_mixes())
    alone = [backend.forward(window[None])[0] for window in _mixes()]
    assert ratio_db(torch.stack(alone), together) > least_db


@pytest.mark.parametrize(("runtime", "precision", "least_db"), KINDS)
def test_what_was_returned_stays_as_it_was(
    network: HDemucs, runtime: str, precision: str, least_db: float
) -> None:
    backend = _backend(network, replace(ON_CPU, runtime=runtime, precision=precision))
    first = backend.forward(_mixes()[:1])
    kept = first.clone()
    backend.forward(_mixes()[1:])
    assert torch.equal(first, kept)


@pytest.mark.parametrize(("runtime", "precision", "least_db"), KINDS)
def test_a_backend_says_what_it_is(
    network: HDemucs, runtime: str, precision: str, least_db: float
) -> None:
    facts = _backend(
        network, replace(ON_CPU, runtime=runtime, precision=precision)
    ).facts
    assert (facts.runtime, facts.precision) == (runtime, precision)
    assert (facts.device, facts.threads) == ("cpu", 1)


@pytest.mark.parametrize(("runtime", "precision", "least_db"), KINDS)
def test_windows_side_by_side_are_as_if_alone(
    network: HDemucs, runtime: str, precision: str, least_db: float
) -> None:
    options = replace(
        ON_CPU, runtime=runtime, precision=precision, threads=2, streams=2
    )
    backend = _backend(network, options)
    assert backend.facts.streams == 2
    windows = [window[None] for window in _mixes()] * 3
    alone = [backend.forward(window) for window in windows[:2]]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(backend.forward, windows))
    for index, found in enumerate(together):
        assert torch.equal(found, alone[index % 2])


def test_there_are_no_more_streams_than_threads(network: HDemucs) -> None:
    options = replace(ON_CPU, runtime="torch", threads=1, streams=4)
    assert _backend(network, options).facts.streams == 1


@needs_openvino
def test_openvino_is_chosen_where_it_is_fast(
    network: HDemucs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "has_bf16", lambda: True)
    assert isinstance(_backend(network, ON_CPU), OpenVinoBackend)
    exact = replace(ON_CPU, precision="fp32")
    assert isinstance(_backend(network, exact), TorchBackend)
    monkeypatch.setattr(openvino, "has_bf16", lambda: False)
    assert isinstance(_backend(network, ON_CPU), TorchBackend)


def test_torch_is_chosen_where_openvino_is_missing(
    network: HDemucs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    assert _backend(network, ON_CPU).facts.runtime == "torch"
    with pytest.raises(InvalidInput, match=r"pip install stemserve\[openvino\]"):
        _backend(network, replace(ON_CPU, runtime="openvino"))


def test_other_networks_run_in_torch_as_they_are() -> None:
    backend = _backend(nn.Identity(), ON_CPU)
    assert backend.facts.runtime == "torch"
    assert backend.facts.precision == "fp32"


@needs_openvino
def test_a_converted_network_is_kept_and_found_again(
    network: HDemucs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(ON_CPU, runtime="openvino", cache_dir=tmp_path / "cache")
    first = _backend(network, options).forward(_mixes())
    kept = sorted(path.suffix for path in (tmp_path / "cache").iterdir())
    assert kept == [".bin", ".lock", ".xml"]

    def never(*_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(openvino, "_convert", never)
    assert torch.equal(_backend(network, options).forward(_mixes()), first)
    other = stirred(networks.demo(SOURCES))
    other.freq_encoder[0].conv.weight.mul_(2)
    with pytest.raises(AssertionError, match="converted again"):
        _backend(other, options)


ENDS_AT_A_REPORT = """
import os, sys

def watch(event, _):
    if event in ("os.fork", "os.posix_spawn", "subprocess.Popen", "socket.connect"):
        os._exit(9)

sys.addaudithook(watch)
from serve_app.separation.backends import openvino
openvino.has_bf16()
import openvino.tools.ovc
"""


@needs_openvino
def test_openvino_reports_to_nobody() -> None:
    """Its telemetry package would fork, call Google's server and write to ~/intel."""
    command = [sys.executable, "-c", ENDS_AT_A_REPORT]
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (BackendOptions("cpu", "torch", "fp16"), "CUDA"),
        pytest.param(
            BackendOptions("cpu", "openvino", "fp16"), "fp32", marks=needs_openvino
        ),
        pytest.param(
            BackendOptions("cuda", "openvino"), "must be `cpu`", marks=needs_openvino
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    network: HDemucs, options: BackendOptions, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        _backend(network, options)


def test_a_network_of_another_kind_has_one_precision_and_no_openvino() -> None:
    with pytest.raises(InvalidInput, match="`auto`"):
        _backend(nn.Identity(), BackendOptions("cpu", "torch", "bf16"))
    with pytest.raises(InvalidInput, match="`torch`"):
        _backend(nn.Identity(), BackendOptions("cpu", "openvino"))


@pytest.mark.parametrize("device", ["", "gpu", "tpu:0", "mps", "cuda:x"])
def test_an_unknown_device_is_answered_with_the_known_ones(device: str) -> None:
    with pytest.raises(InvalidInput, match="`auto`"):
        devices.resolve(device)


def test_a_device_that_is_not_here_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="There is no device 'cuda:99' here"):
        devices.resolve("cuda:99")
