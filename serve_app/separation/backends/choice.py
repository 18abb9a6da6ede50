"""The choice of a network's runtime."""

from torch import nn
from torchaudio.models import HDemucs

from serve_app.errors import InvalidInput
from serve_app.separation.backends import devices, openvino
from serve_app.separation.backends.openvino import OpenVinoBackend
from serve_app.separation.backends.port import Backend, BackendOptions
from serve_app.separation.backends.pytorch import TorchBackend


def make(network: nn.Module, window_samples: int, options: BackendOptions) -> Backend:
    """Return the backend for `options`; it takes over the network's layers.

    `auto` is OpenVINO on CPUs with bf16 if it is installed, unless float32 is
    requested; torch otherwise. Raises InvalidInput for options that can't be combined,
    and Unavailable for a device that does not exist.
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
    """Return the network if OpenVINO supports it with these options."""
    if not openvino.is_installed():
        raise InvalidInput(
            "The runtime `openvino` is not installed. Run `pip install "
            "stemserve[openvino]`, or use the runtime `torch`."
        )
    if not isinstance(network, HDemucs):
        raise InvalidInput(
            "The runtime `openvino` does not support this model. Use the runtime "
            "`torch` or `auto`."
        )
    if options.device not in ("auto", "cpu"):
        raise InvalidInput(
            "The device of the runtime `openvino` must be `cpu` or `auto`, got "
            f"{options.device!r}."
        )
    if options.precision == "fp16":
        raise InvalidInput(
            "The precision of the runtime `openvino` must be `bf16`, `fp32` or `auto`, "
            "got 'fp16'."
        )
    return network
