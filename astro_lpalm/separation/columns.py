"""Counts and backgrounds of many pixels, of which a few columns at a time are laid out."""

import numpy as np
import torch

__all__ = ["PhotonColumns", "SeparableColumns"]


class PhotonColumns:
    """Counts of photons, shape (m, t), as tensors of the columns that are asked for: ``columns[:, start:stop]``.

    Parameters
    ----------
    counts : `~astro_lpalm.cube.PhotonCounts`
    device : str or `torch.device`, optional
    """

    def __init__(self, counts, device=None):
        self.shape, self._device = counts.shape, device
        self._photons = counts.photons.astype(np.float32).tocsc()

    def __getitem__(self, item):
        return torch.as_tensor(self._photons[:, item[1]].toarray(order="C"), device=self._device)


class SeparableColumns:
    """Spectra, shape (m, k), times the shares of pixels, shape (k, t), asked for in the same way.

    Parameters
    ----------
    spectra : `torch.Tensor`
    shares : `torch.Tensor` or PhotonColumns
    """

    def __init__(self, spectra, shares):
        self._spectra, self._shares = spectra, shares

    def __getitem__(self, item):
        return self._spectra @ self._shares[:, item[1]]
