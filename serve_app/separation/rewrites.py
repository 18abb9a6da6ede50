"""Layers of Hybrid Demucs, rewritten to compute the same in less time and memory.

Each takes over the weights of torchaudio's layer, is called as that is, and returns
what that returns, up to the order of additions: above 120 dB.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import HDemucs

from serve_app.separation.hybrid import Hybrid

# Rows of a spectrum are worked on so many bytes at a time: what stays in the cache.
BLOCK_BYTES = 2**22


def rewritten(network: HDemucs, in_blocks: bool = True) -> Hybrid:
    """Return a network's rewrite; the network itself is used up.

    A runtime that plans its own use of the cache does better without blocks.
    """
    hybrid = Hybrid(network)
    core = hybrid.core
    for branch in ("freq_encoder", "time_encoder"):
        layers = (Encoder(layer, in_blocks) for layer in getattr(core, branch))
        setattr(core, branch, nn.ModuleList(layers))
    core.freq_decoder = nn.ModuleList(map(Decoder, core.freq_decoder))
    core.time_decoder = nn.ModuleList(map(Decoder, core.time_decoder))
    return hybrid.eval().requires_grad_(False)


class Encoder(nn.Module):
    """An encoder layer; a spectrum's rows are worked on in blocks that fit the cache.

    After its first convolution a layer without a norm over the whole mixes no rows.
    """

    def __init__(self, layer: Any, in_blocks: bool = True) -> None:
        super().__init__()
        self.freq, self.stride, self.empty = layer.freq, layer.stride, layer.empty
        self.conv, self.norm1, self.norm2 = layer.conv, layer.norm1, layer.norm2
        self.rewrite = layer.rewrite if self.empty else _pointwise(layer.rewrite)
        self.dconv = nn.Identity() if self.empty else Residual(layer.dconv)
        alone = self.freq and isinstance(layer.norm2, nn.Identity)
        self.in_blocks = in_blocks and alone

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        """Encode (batch, channels, bins, frames) or (batch, channels, samples)."""
        if not self.freq:
            x = x.flatten(1, -2)
            x = functional.pad(x, (0, -x.shape[-1] % self.stride))
        y: Tensor = self.conv(x)
        if self.empty:
            return y
        if inject is not None:
            y = y + inject.view(y.shape)
        if self.in_blocks:
            return self._in_blocks(y)
        y = functional.gelu(self.norm1(y))
        if not self.freq:
            return functional.glu(self.norm2(self.rewrite(self.dconv(y))), dim=1)
        batch, channels, bins, frames = y.shape
        rows = y.transpose(1, 2).reshape(-1, channels, frames)
        rows = self.rewrite(self.dconv(rows)).view(batch, bins, -1, frames)
        return functional.glu(self.norm2(rows.transpose(1, 2)), dim=1)

    def _in_blocks(self, y: Tensor) -> Tensor:
        batch, channels, bins, frames = y.shape
        size = max(1, BLOCK_BYTES // (batch * 2 * channels * frames * 4))
        for first in range(0, bins, size):
            part = y[:, :, first : first + size]
            count = part.shape[2]
            rows = functional.gelu(part).transpose(1, 2).reshape(-1, channels, frames)
            gated = functional.glu(self.rewrite(self.dconv(rows)), dim=1)
            part.copy_(gated.view(batch, count, channels, frames).transpose(1, 2))
        return y


class Decoder(nn.Module):
    """A decoder layer whose transposed convolution is a plain one; see `Upsample`."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.freq, self.pad, self.last = layer.freq, layer.pad, layer.last
        self.empty, self.channels = layer.empty, layer.chin
        self.rewrite, self.norm1, self.norm2 = layer.rewrite, layer.norm1, layer.norm2
        self.upsample = Upsample(layer.conv_tr)

    def forward(
        self, x: Tensor, skip: Tensor | None, length: int
    ) -> tuple[Tensor, Tensor]:
        """Decode; also return what went into the transposed convolution."""
        if self.freq and x.dim() == 3:
            x = x.view(x.shape[0], self.channels, -1, x.shape[-1])
        y = x
        if skip is not None:
            y = functional.glu(self.norm1(self.rewrite(x + skip)), dim=1)
        z = self.norm2(self.upsample(y))
        if not self.freq:
            z = z[..., self.pad : self.pad + length]
        elif self.pad:
            z = z[..., self.pad : -self.pad, :]
        return (z if self.last else functional.gelu(z)), y


class Upsample(nn.Module):
    """A transposed convolution, twice as long as its stride, without one.

    What it puts at place `stride * i + phase` comes from inputs i and i - 1 only: a
    convolution of length two has the phases as channels, which are then laid out.
    (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?")
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.stride = int(layer.stride[0])
        self.outputs = int(layer.out_channels)
        weight = layer.weight.detach()
        if weight.shape[2] != 2 * self.stride:
            raise ValueError("the kernel must be twice as long as its stride")
        later, earlier = weight[:, :, : self.stride], weight[:, :, self.stride :]
        both = torch.stack((earlier, later), dim=3)
        # (in, out, phase, 2[, 1]) to (out and phase, in, 2[, 1])
        self.weight = nn.Parameter(
            both.permute(1, 2, 0, *range(3, both.dim())).flatten(0, 1).contiguous()
        )
        bias = layer.bias.detach().repeat_interleave(self.stride)
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in, length[, frames]) to stride * (length + 1) as long."""
        if x.dim() == 3:
            phases = functional.conv1d(x, self.weight, self.bias, padding=1)
        else:
            phases = functional.conv2d(x, self.weight, self.bias, padding=(1, 0))
        shape = (x.shape[0], self.outputs, self.stride, *phases.shape[2:])
        return phases.view(shape).transpose(2, 3).flatten(2, 3)


class Residual(nn.Module):
    """A `_DConv` with its scales folded into norms and its attention in one piece."""

    def __init__(self, dconv: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(map(_folded, dconv.layers))

    def forward(self, x: Tensor) -> Tensor:
        """Add each layer's output to (batch, channels, frames)."""
        for layer in self.layers:
            x = x + layer(x)
        return x


def _folded(layer: Any) -> nn.Sequential:
    """Return a residual layer that ends in its norm and gate.

    The scale of what a GLU lets through is that of the first half of its input.
    """
    *before, pointwise, norm, gate, scale = layer
    with torch.no_grad():
        half = scale.scale.shape[0]
        norm.weight[:half] *= scale.scale
        norm.bias[:half] *= scale.scale
    parts = [Attention(one) if hasattr(one, "query_decay") else one for one in before]
    return nn.Sequential(*parts, pointwise, norm, gate)


def _pointwise(layer: Any) -> nn.Conv1d:
    """Return a 1x1 convolution over rows instead of over the whole spectrum."""
    if isinstance(layer, nn.Conv1d):
        return layer
    rows = nn.Conv1d(layer.in_channels, layer.out_channels, 1)
    rows.weight, rows.bias = nn.Parameter(layer.weight[..., 0]), layer.bias
    return rows


class Attention(nn.Module):
    """A `_LocalState` with one projection, and a penalty that grows with distance."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.heads, self.decays = layer.heads, layer.ndecay
        parts = (layer.query, layer.key, layer.content, layer.query_decay)
        inputs = layer.query.in_channels
        self.sizes = [part.out_channels for part in parts]
        self.project = nn.Conv1d(inputs, sum(self.sizes), 1)
        self.project.weight = nn.Parameter(torch.cat([p.weight for p in parts]))
        self.project.bias = nn.Parameter(torch.cat([p.bias for p in parts]))
        self.proj = layer.proj

    def forward(self, x: Tensor) -> Tensor:
        """Attend over the frames of (batch, channels, frames) and add the result."""
        batch, _, frames = x.shape
        query, key, content, decay = (
            part.view(batch, self.heads, -1, frames).transpose(2, 3)
            for part in self.project(x).split(self.sizes, dim=1)
        )
        steps = torch.arange(1, self.decays + 1, device=x.device, dtype=x.dtype)
        pull = (torch.sigmoid(decay) * steps).sum(-1, keepdim=True)
        places = torch.arange(frames, device=x.device, dtype=x.dtype)
        distance = (places[:, None] - places).abs() / (2 * math.sqrt(self.decays))
        itself = torch.eye(frames, dtype=torch.bool, device=x.device)
        # torchaudio sets a frame's own score, without the product, to -100.
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        scores = (scores - pull * distance).masked_fill(itself, -100)
        found = torch.softmax(scores, dim=-1) @ content
        added: Tensor = self.proj(found.transpose(2, 3).reshape(x.shape))
        return x + added
