"""Which runtime a network gets."""

from torch import nn
from torchaudio.models import HDemucs

from serve_app.errors import InvalidInput
from serve_app.separation.backends import devices, openvino
from serve_app.separation.backends.openvino import OpenVinoBackend
from serve_app.separation.backends.port import Backend, BackendOptions
from serve_app.separation.backends.pytorch import TorchBackend


def make(network: nn.Module, window_samples: int, options: BackendOptions) -> Backend:
    """Return the backend that `options` ask for; the network is used up.

    `auto` is OpenVINO on CPUs that have bf16, where it is installed, unless float32 is
    asked for; torch otherwise. Raises InvalidInput for what can't be had together, and
    Unavailable for a device that is not here.
    """
    if options.runtime == "openvino" or (
        options.runtime == "auto" and _suits_openvino(network, options)
    ):
        return OpenVinoBackend(_fit(network, options), window_samples, options)
    return TorchBackend(network, options)


def _suits_openvino(network: nn.Module, options: BackendOptions) -> bool:
    return (
        isinstance(network, HDemucs)
        and devices.resolve(options.device).type == "cpu"
        and options.precision in ("auto", "bf16")
        and not options.compiled
        and openvino.is_installed()
        and openvino.has_bf16()
    )


def _fit(network: nn.Module, options: BackendOptions) -> HDemucs:
    """Return the network if OpenVINO can compute it here."""
    if not openvino.is_installed():
        raise InvalidInput(
            "The runtime `openvino` is not installed: `pip install "
            "stemserve[openvino]`, or use the runtime `torch`."
        )
    if not isinstance(network, HDemucs):
        raise InvalidInput(
            "This model has no OpenVINO form; use the runtime `torch` or `auto`."
        )
    if options.device not in ("auto", "cpu"):
        raise InvalidInput(
            f"The runtime `openvino` computes on `cpu`, not on {options.device!r}."
        )
    if options.precision == "fp16":
        raise InvalidInput("The runtime `openvino` computes in `bf16` or `fp32`.")
    return network
