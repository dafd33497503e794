"""What is expected of components as they are detected: spectra of each pixel, and smooth images as counts."""

from dataclasses import replace

import numpy as np

from ..forward import LocalSpectra

__all__ = ["by_owner", "in_counts", "local_spectra"]

_TINY = 1e-30


def by_owner(values, owners, n):
    """Sum rows, (R, t), over those of each of n components: (n, t)."""
    return np.stack([values[owners == k].sum(axis=0) for k in range(n)])


def local_spectra(seen):
    """Give the local spectra of the bins of all observations, one after the other.

    Parameters
    ----------
    seen : list of tuple
        Of each, what it is expected to detect; see `SkyFit.detected <astro_lpalm.separation.SkyFit>`.

    Returns
    -------
    `~astro_lpalm.forward.LocalSpectra`
    """
    rows, m = len(seen), len(seen[0][0])
    basis, amounts, owners = [], [], np.concatenate([each[2] for each in seen])
    for number, (vectors, amount, _) in enumerate(seen):
        placed = np.zeros((rows * m, vectors.shape[1]))
        placed[number * m : (number + 1) * m] = vectors
        basis.append(placed)
        amounts.append(np.asarray(amount, dtype=float))
    basis, amounts = np.concatenate(basis, axis=1), np.concatenate(amounts)
    totals = by_owner(amounts * basis.sum(axis=0)[:, np.newaxis], owners, owners.max() + 1)
    return LocalSpectra(basis, amounts / np.maximum(totals, _TINY)[owners], owners)


def in_counts(sky, fit, gain):
    """Have smooth images be counts of a cube at its full exposure.

    Parameters
    ----------
    sky : `~astro_lpalm.separation.SkyFit`
    fit : `~astro_lpalm.forward.Fit`
        Of the cube.
    gain : `~numpy.ndarray`, shape (n, t)
        What the cube has of them in each pixel, over its relative exposure.

    Returns
    -------
    sky : `~astro_lpalm.separation.SkyFit`
    pattern : `~numpy.ndarray`, shape (n, t)
        What is left to multiply them by to be the counts of each pixel.
    """
    kept = fit.forward.kept
    seen = sky.images[:, kept] * fit.cube.relative_exposure[kept]
    means = (seen * gain).sum(axis=1) / seen.sum(axis=1)
    factor = means[:, np.newaxis, np.newaxis]
    samples = (sky.samples[0] * factor, *sky.samples[1:]) if sky.samples else ()
    scaled = replace(sky, images=sky.images * factor, image_errors=sky.image_errors * factor, samples=samples)
    return scaled, gain / means[:, np.newaxis]
