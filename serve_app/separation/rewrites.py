"""Layers of Hybrid Demucs, rewritten to compute the same in less time and memory.

Each takes over the weights and the signature of torchaudio's layer, and returns the
same up to the order of additions: with a signal-to-noise ratio above 120 dB.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import HDemucs

from serve_app.separation.hybrid import Hybrid

# A spectrum's rows are processed in blocks of so many bytes, which fit in the cache.
BLOCK_BYTES = 2**22

# How a spectrum's encoder processes rows, which are independent: in blocks that fit in
# a CPU's cache, as one batch, or in place. In place is for compilers, which choose the
# tensors' layout and would otherwise move every row back and forth.
Rows = Literal["blocks", "batch", "in place"]


def rewritten(network: HDemucs, rows: Rows = "blocks", winograd: bool = True) -> Hybrid:
    """Return the rewritten network; its layers are taken from `network`.

    `winograd` is for float32 only: 16 bits are too imprecise for its sums.
    """
    hybrid = Hybrid(network)
    core = hybrid.core
    for branch in ("freq_encoder", "time_encoder"):
        layers = (_encoder(layer, rows) for layer in getattr(core, branch))
        setattr(core, branch, nn.ModuleList(layers))
    for branch in ("freq_decoder", "time_decoder"):
        layers = (Decoder(layer, winograd) for layer in getattr(core, branch))
        setattr(core, branch, nn.ModuleList(layers))
    return hybrid.eval().requires_grad_(False)


def _encoder(layer: Any, rows: Rows) -> nn.Module:
    """Return an encoder layer; a norm over the whole spectrum mixes its rows."""
    if not layer.freq or not isinstance(layer.norm2, nn.Identity):
        return Encoder(layer, rows)
    return SpectrumEncoder(layer) if rows == "in place" else RowsEncoder(layer, rows)


class Encoder(nn.Module):
    """An encoder layer over a wave, or over a spectrum if its norms mix rows."""

    def __init__(self, layer: Any, rows: Rows) -> None:
        super().__init__()
        self.freq, self.stride, self.empty = layer.freq, layer.stride, layer.empty
        self.conv, self.norm1, self.norm2 = layer.conv, layer.norm1, layer.norm2
        self.rewrite = layer.rewrite if self.empty else _pointwise(layer.rewrite)
        self.dconv = nn.Identity() if self.empty else _residual(layer.dconv, rows)

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
        y = functional.gelu(self.norm1(y))
        if not self.freq:
            return functional.glu(self.norm2(self.rewrite(self.dconv(y))), dim=1)
        batch, channels, bins, frames = y.shape
        rows = y.transpose(1, 2).reshape(-1, channels, frames)
        rows = self.rewrite(self.dconv(rows)).view(batch, bins, -1, frames)
        return functional.glu(self.norm2(rows.transpose(1, 2)), dim=1)


class RowsEncoder(nn.Module):
    """An encoder layer over a spectrum that processes rows as batches.

    All layers after the first convolution treat rows independently.
    """

    def __init__(self, layer: Any, rows: Rows) -> None:
        super().__init__()
        self.in_blocks = rows == "blocks"
        self.conv, self.rewrite = layer.conv, _pointwise(layer.rewrite)
        self.dconv = _residual(layer.dconv, rows)

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        """Encode (batch, channels, bins, frames)."""
        y: Tensor = self.conv(x)
        if inject is not None:
            y = y + inject.view(y.shape)
        batch, channels, bins, frames = y.shape
        row_bytes = batch * 2 * channels * frames * y.element_size()
        size = max(1, BLOCK_BYTES // row_bytes) if self.in_blocks else bins
        for first in range(0, bins, size):
            block = y[:, :, first : first + size]
            count = block.shape[2]
            rows = functional.gelu(block).transpose(1, 2).reshape(-1, channels, frames)
            gated = functional.glu(self.rewrite(self.dconv(rows)), dim=1)
            block.copy_(gated.view(batch, count, channels, frames).transpose(1, 2))
        return y


class SpectrumEncoder(nn.Module):
    """An encoder layer over a spectrum that processes rows in place."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.conv = layer.conv
        self.layers = nn.ModuleList(map(_on_rows, Residual(layer.dconv).layers))
        self.rewrite = _row_convolution(_pointwise(layer.rewrite))

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        """Encode (batch, channels, bins, frames)."""
        y: Tensor = self.conv(x)
        if inject is not None:
            y = y + inject.view(y.shape)
        y = functional.gelu(y)
        for layer in self.layers:
            y = y + layer(y)
        return functional.glu(self.rewrite(y), dim=1)


def _on_rows(layer: nn.Module) -> nn.Sequential:
    """Convert a residual layer over single rows to one over all rows of a spectrum."""
    kinds: dict[type, Callable[[Any], nn.Module]] = {
        nn.Conv1d: _row_convolution,
        nn.GroupNorm: RowNorm,
    }
    layers = layer.children()
    return nn.Sequential(*(kinds.get(type(one), _unchanged)(one) for one in layers))


def _unchanged(layer: nn.Module) -> nn.Module:
    return layer


def _row_convolution(conv: nn.Conv1d) -> nn.Conv2d:
    """Return a convolution over frames for (batch, channels, bins, frames)."""
    (kernel,), (dilation,) = conv.kernel_size, conv.dilation
    padding = (0, int(conv.padding[0]))
    rows = nn.Conv2d(
        *(conv.in_channels, conv.out_channels, (1, kernel)),
        padding=padding,
        dilation=(1, dilation),
    )
    rows.weight, rows.bias = nn.Parameter(conv.weight[:, :, None]), conv.bias
    return rows


class RowNorm(nn.Module):
    """A group norm with one group, applied to each row of a spectrum.

    The variance is computed from differences to the mean, not from the mean square, so
    that it is accurate if the mean is much larger, also in bf16.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.epsilon = norm.eps
        self.weight = nn.Parameter(norm.weight[:, None, None])
        self.bias = nn.Parameter(norm.bias[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (batch, channels, bins, frames) over channels and frames."""
        x = x - x.mean((1, 3), keepdim=True)
        variance = (x * x).mean((1, 3), keepdim=True)
        return x / torch.sqrt(variance + self.epsilon) * self.weight + self.bias


class Decoder(nn.Module):
    """A decoder layer with a plain instead of a transposed convolution: `Upsample`."""

    def __init__(self, layer: Any, winograd: bool = True) -> None:
        super().__init__()
        self.freq, self.pad, self.last = layer.freq, layer.pad, layer.last
        self.channels = layer.chin
        self.norm2 = layer.norm2
        self.upsample = Upsample(layer.conv_tr)
        self.gate: nn.Module | None = None
        if not layer.empty:
            plain = isinstance(layer.norm1, nn.Identity)
            suits = winograd and self.freq and plain
            self.gate = WinogradGate(layer.rewrite) if suits else Gate(layer)

    def forward(
        self, x: Tensor, skip: Tensor | None, length: int
    ) -> tuple[Tensor, Tensor]:
        """Decode; return the output and the transposed convolution's input."""
        if self.freq and x.dim() == 3:
            x = x.view(x.shape[0], self.channels, -1, x.shape[-1])
        y = x if self.gate is None else self.gate(x, skip)
        z = self.norm2(self.upsample(y))
        if not self.freq:
            z = z[..., self.pad : self.pad + length]
        elif self.pad:
            z = z[..., self.pad : -self.pad, :]
        return (z if self.last else functional.gelu(z)), y


class Gate(nn.Module):
    """The gated convolution at the start of a decoder layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.rewrite, self.norm = layer.rewrite, layer.norm1

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map the sum of the input and the skip connection to its own shape."""
        return functional.glu(self.norm(self.rewrite(x + skip)), dim=1)


class WinogradGate(nn.Module):
    """A gated 3x3 convolution over a spectrum, with half of the multiplications.

    Over the bins, four rows at a time are computed from the values of a polynomial
    product at six points (Winograd's minimal filtering F(4, 3)); over the frames it is
    a plain convolution. (Lavin and Gray 2015, "Fast algorithms for convolutional neural
    networks"; points other than 1 and 2 gain 3 dB: Barabasz et al. 2020, "Error
    analysis and improving the accuracy of Winograd convolution")
    """

    # The points are 0, +-NEAR, +-FAR and infinity.
    NEAR, FAR = 5 / 8, 3 / 2
    POINTS, TILE = 6, 4
    # So many rows at once fit in the cache.
    ROWS = 16

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        if conv.kernel_size != (3, 3) or conv.padding != (1, 1):
            raise ValueError(
                "the kernel must be 3x3 with a padding of 1, got "
                f"{conv.kernel_size} with {conv.padding}"
            )
        points = (0, self.NEAR, -self.NEAR, self.FAR, -self.FAR)
        others = [
            math.prod(p - other for other in points if other != p) for p in points
        ]
        taps = [
            [p**k / rest for k in range(3)]
            for p, rest in zip(points, others, strict=True)
        ]
        at_points = torch.tensor([*taps, [0, 0, 1]], dtype=torch.float64)
        weight = torch.einsum("pk,oikt->poit", at_points, conv.weight.double())
        weight = weight.to(conv.weight.dtype).flatten(0, 1)[:, :, None]
        self.weight = nn.Parameter(weight.contiguous())
        # The values at the points that give 1 in each of the four rows.
        rows = [[*(p**k for p in points), float(k == 3)] for k in range(4)]
        ones = torch.linalg.pinv(torch.tensor(rows, dtype=torch.float64)).sum(1)
        bias = torch.outer(ones, cast("Tensor", conv.bias).double()).flatten()
        self.bias = nn.Parameter(bias.to(conv.weight.dtype))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map the sum of two spectra (batch, channels, bins, frames) to its shape."""
        batch, channels, bins, frames = x.shape
        found = torch.empty_like(x)
        for first in range(0, bins, self.ROWS):
            count = min(self.ROWS, bins - first)
            tiles = -(-count // self.TILE)
            # One row before, and padding for the last tile and its neighbour.
            rows = x.new_zeros(batch, channels, self.TILE * (tiles + 1), frames)
            start, stop = max(first - 1, 0), min(first + count + 1, bins)
            inner = rows[:, :, start - first + 1 : stop - first + 1]
            torch.add(x[:, :, start:stop], skip[:, :, start:stop], out=inner)
            points = functional.conv2d(
                self._to_points(rows),
                *(self.weight, self.bias),
                padding=(0, 1),
                groups=self.POINTS,
            )
            let, gate = self._to_rows(points)[:, :, :count].chunk(2, dim=1)
            torch.mul(let, gate.sigmoid_(), out=found[:, :, first : first + count])
        return found

    def _to_points(self, rows: Tensor) -> Tensor:
        """Map rows (batch, channels, rows, frames), with one extra tile, to points."""
        batch, channels, count, frames = rows.shape
        tiles = rows.view(batch, channels, count // self.TILE, self.TILE, frames)
        d0, d1, d2, d3 = tiles[:, :, :-1].unbind(3)
        d4, d5 = tiles[:, :, 1:, 0], tiles[:, :, 1:, 1]
        points = rows.new_empty(batch, self.POINTS, *d0.shape[1:])
        p0, p1, p2, p3, p4, p5 = points.unbind(1)
        near, far = self.NEAR**2, self.FAR**2
        torch.add(d4, d2, alpha=-near - far, out=p0).add_(d0, alpha=near * far)
        torch.add(d5, d3, alpha=-near - far, out=p5).add_(d1, alpha=near * far)
        even, odd = torch.add(d4, d2, alpha=-far), torch.add(d3, d1, alpha=-far)
        torch.add(even, odd, alpha=self.NEAR, out=p1)
        torch.sub(even, odd, alpha=self.NEAR, out=p2)
        torch.add(d4, d2, alpha=-near, out=even)
        torch.add(d3, d1, alpha=-near, out=odd)
        torch.add(even, odd, alpha=self.FAR, out=p3)
        torch.sub(even, odd, alpha=self.FAR, out=p4)
        return points.flatten(1, 2)

    def _to_rows(self, points: Tensor) -> Tensor:
        """Map (batch, points and channels, tiles, frames) to rows, four per tile."""
        batch, _, tiles, frames = points.shape
        m0, m1, m2, m3, m4, m5 = points.view(
            batch, self.POINTS, -1, tiles, frames
        ).unbind(1)
        near, far = m1 + m2, m3 + m4
        near_odd, far_odd = torch.sub(m1, m2, out=m1), torch.sub(m3, m4, out=m3)
        rows = points.new_empty(*m0.shape[:3], self.TILE, frames)
        y0, y1, y2, y3 = rows.unbind(3)
        torch.add(m0, near, out=y0).add_(far)
        torch.mul(near_odd, self.NEAR, out=y1).add_(far_odd, alpha=self.FAR)
        torch.mul(near, self.NEAR**2, out=y2).add_(far, alpha=self.FAR**2)
        torch.add(m5, near_odd, alpha=self.NEAR**3, out=y3)
        y3.add_(far_odd, alpha=self.FAR**3)
        return rows.flatten(2, 3)


class Upsample(nn.Module):
    """A transposed convolution with a kernel of twice its stride, as a plain one.

    The output at `stride * i + phase` depends only on the inputs i and i - 1. So a
    convolution of length two computes the phases as channels, then interleaves them.
    (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?")
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.stride = int(layer.stride[0])
        self.outputs = int(layer.out_channels)
        weight = layer.weight.detach()
        if weight.shape[2] != 2 * self.stride:
            raise ValueError(
                f"the kernel must be twice as long as its stride of {self.stride}, got "
                f"{weight.shape[2]}"
            )
        later, earlier = weight[:, :, : self.stride], weight[:, :, self.stride :]
        both = torch.stack((earlier, later), dim=3)
        # (in, out, phase, 2[, 1]) to (out and phase, in, 2[, 1])
        self.weight = nn.Parameter(
            both.permute(1, 2, 0, *range(3, both.dim())).flatten(0, 1).contiguous()
        )
        bias = layer.bias.detach().repeat_interleave(self.stride)
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in, length[, frames]) to a length of stride * (length + 1)."""
        if x.dim() == 3:
            phases = functional.conv1d(x, self.weight, self.bias, padding=1)
        else:
            phases = functional.conv2d(x, self.weight, self.bias, padding=(1, 0))
        shape = (x.shape[0], self.outputs, self.stride, *phases.shape[2:])
        return phases.view(shape).transpose(2, 3).flatten(2, 3)


def _residual(dconv: Any, rows: Rows) -> "Residual":
    """Return a `Residual`; whole batches are for devices with thousands of cores."""
    residual = Residual(dconv)
    if rows == "batch":
        residual.layers = nn.ModuleList(_joined(layer) for layer in residual.layers)
    return residual


class Residual(nn.Module):
    """A `_DConv` with its scales folded into its norms, and with `Attention`."""

    def __init__(self, dconv: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(map(_folded, dconv.layers))

    def forward(self, x: Tensor) -> Tensor:
        """Add each layer's output to (batch, channels, frames)."""
        for layer in self.layers:
            x = x + layer(x)
        return x


def _folded(layer: Any) -> nn.Sequential:
    """Return a residual layer without its scale, which is folded into the norm.

    Scaling a GLU's output equals scaling the first half of its input.
    """
    *before, pointwise, norm, gate, scale = layer
    with torch.no_grad():
        half = scale.scale.shape[0]
        norm.weight[:half] *= scale.scale
        norm.bias[:half] *= scale.scale
    parts = [Attention(one) if hasattr(one, "query_decay") else one for one in before]
    return nn.Sequential(*parts, pointwise, norm, gate)


def _joined(layer: Any) -> nn.Sequential:
    """Return a residual layer with each convolution joined with the norm after it."""
    parts: list[nn.Module] = []
    for part in layer:
        if isinstance(part, nn.GroupNorm):
            parts.append(NormedConvolution(cast("nn.Conv1d", parts.pop()), part))
        else:
            parts.append(part)
    return nn.Sequential(*parts)


class NormedConvolution(nn.Module):
    """A convolution over frames, then a group norm with one group.

    torch's norm sums up each window in one of a GPU's many multiprocessors, and a
    convolution adds its bias in a pass of its own. Here the channels of a window are
    summed up apart, in float32 and without their bias, which joins the norm's.
    """

    def __init__(self, conv: nn.Conv1d, norm: nn.GroupNorm) -> None:
        super().__init__()
        if norm.num_groups != 1:
            raise ValueError(f"the norm must have one group, got {norm.num_groups}")
        self.weight, self.inner_bias = conv.weight, cast("nn.Parameter", conv.bias)
        self.padding, self.dilation = conv.padding[0], conv.dilation[0]
        self.gain, self.bias, self.epsilon = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, frames) to other channels."""
        y = self._convolved(x)
        mean = y.mean(2, dtype=torch.float32)
        length = torch.linalg.vector_norm(y, dim=2, dtype=torch.float32)
        power = length.square() / y.shape[2]
        inner = self.inner_bias.float()
        whole_mean = (mean + inner).mean(1, keepdim=True)
        whole_power = (power + 2 * inner * mean + inner.square()).mean(1, keepdim=True)
        variance = (whole_power - whole_mean.square()).clamp_min(0)
        gain = self.gain * torch.rsqrt(variance + self.epsilon)
        bias = self.bias + (inner - whole_mean) * gain
        gain, bias = gain.to(y.dtype)[..., None], bias.to(y.dtype)[..., None]
        return torch.addcmul(bias, y, gain)

    def _convolved(self, x: Tensor) -> Tensor:
        if self.weight.shape[2] > 1:
            return functional.conv1d(
                x, self.weight, padding=self.padding, dilation=self.dilation
            )
        return torch.bmm(self.weight[..., 0].expand(len(x), -1, -1), x)


def _pointwise(layer: Any) -> nn.Conv1d:
    """Return a 1x1 convolution of spectra as one of single rows."""
    if isinstance(layer, nn.Conv1d):
        return layer
    rows = nn.Conv1d(layer.in_channels, layer.out_channels, 1)
    rows.weight, rows.bias = nn.Parameter(layer.weight[..., 0]), layer.bias
    return rows


class Attention(nn.Module):
    """A `_LocalState` with a single projection; scores decrease with distance."""

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
        # torchaudio replaces a frame's score with itself by -100.
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        scores = (scores - pull * distance).masked_fill(itself, -100)
        found = torch.softmax(scores, dim=-1) @ content
        added: Tensor = self.proj(found.transpose(2, 3).reshape(x.shape))
        return x + added
