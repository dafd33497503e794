"""The starlet on torch tensors, imported only when one is given."""

import torch
from torch.nn.functional import pad

__all__ = ["forward"]


def forward(images, n_scales, weights):
    """Details and coarse image of a tensor (..., ny, nx); ``weights`` normalize the smoothing of each scale."""
    if images.dtype != torch.float32:
        if images.is_complex():
            msg = f"images must be a tensor of real numbers, but its dtype is {images.dtype}."
            raise ValueError(msg)
        images = images.to(torch.float64)
    shape = images.shape
    smooth = images.reshape(-1, *shape[-2:])
    if weights is not None:
        weights = [torch.as_tensor(weight).to(smooth) for weight in weights]
        smooth = torch.where(weights[0] > 0, smooth, torch.zeros((), dtype=smooth.dtype, device=smooth.device))
    details = []
    for scale in range(n_scales):
        finer, smooth = smooth, _smooth(smooth, 2**scale)
        if weights is not None:
            smooth = smooth * weights[scale]
        details.append((finer - smooth).reshape(shape))
    return details, smooth.reshape(shape)


def _smooth(images, spacing):
    images = pad(images, (2 * spacing,) * 4, mode="reflect")
    for axis in (-2, -1):
        size = images.shape[axis] - 4 * spacing
        taps = [images.narrow(axis, k * spacing, size) for k in range(5)]
        # In place on the fresh sum of the outer taps: two temporary stacks rather than five.
        smooth = (taps[0] + taps[4]).mul_(1 / 16)
        images = smooth.add_(taps[1], alpha=1 / 4).add_(taps[3], alpha=1 / 4).add_(taps[2], alpha=3 / 8)
    return images
