"""The initial weights of training."""

import torch
from torch import nn
from torchaudio.models import HDemucs

TAPS = 4  # The time branch's stride: new samples for each position.
QUIETER = 0.1


@torch.no_grad()
def pass_through(network: HDemucs, source: int) -> None:
    """Initialise the time branch's first level to return the mix as one source.

    Small networks are slow to learn to copy their input. Each sample enters as itself
    and negated, because GELU(x) - GELU(-x) = x. A gate with a logit of zero halves its
    input, hence the factors of two.
    """
    encoder, decoder = network.time_encoder[0], network.time_decoder[-1]
    lines = [(channel, tap) for channel in range(2) for tap in range(TAPS)]
    width = encoder.conv.out_channels
    if width < 2 * len(lines):
        raise ValueError(f"must have at least {2 * len(lines)} channels, got {width}")
    for branch in (network.time_decoder, network.freq_decoder):
        branch[-1].conv_tr.weight *= QUIETER
        branch[-1].conv_tr.bias.zero_()
    network.time_decoder[-2].conv_tr.weight *= QUIETER
    for line, (channel, tap) in enumerate(lines):
        mirror, kernel = line + len(lines), encoder.pad + tap
        for row, sign in ((line, 1.0), (mirror, -1.0)):
            _clear(encoder.conv, row)
            encoder.conv.weight[row, channel, kernel] = sign
        _clear(encoder.rewrite, line, line + width)
        encoder.rewrite.weight[line, line] = 2.0
        encoder.rewrite.weight[line, mirror] = -2.0
        _clear(decoder.rewrite, line, line + width)
        decoder.rewrite.weight[line, line, decoder.rewrite.padding[0]] = 2.0
        decoder.conv_tr.weight[line] = 0
        decoder.conv_tr.weight[line, 2 * source + channel, kernel] = 1.0


def _clear(layer: nn.Module, *rows: int) -> None:
    for row in rows:
        layer.weight[row] = 0
        layer.bias[row] = 0
