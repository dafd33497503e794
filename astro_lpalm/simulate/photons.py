"""The Poisson draw: events from expected counts."""

import logging

import numpy as np

from .event_list import ROW, SKY_CENTER, channels_of

__all__ = ["draw_events"]

log = logging.getLogger(__name__)

_CHUNK = 1 << 15  # events handled at once: temporaries stay in the processor's cache
_MOST = 10**9
_OFF_THE_EDGE = 1e-4  # of a bin: so far energies keep from its edges, which single precision would round them over


def draw_events(images, spectra, edges, *, forward, n_sources, scale, exposure, seed):
    """Draw the events of Poisson processes.

    Their counts in pixels and bins have the distribution of those that ``forward.draw`` gives; but a photon has a place
    within its pixel, and a point spread function moves each on its own.

    Parameters
    ----------
    images : `~numpy.ndarray`, shape (n, ny, nx)
        Expected counts; of the sources, at full exposure and before the blur.
    spectra : `~numpy.ndarray`, shape (m, n)
        Relative expected counts in each energy bin.
    edges : `~numpy.ndarray`, shape (m + 1,)
        Edges of the bins in eV.
    forward : `~astro_lpalm.forward.ForwardModel`
        Of the images' pixels.
    n_sources : int
        The first so many images are blurred and have the exposure map applied, the others not.
    scale : float
        Side of the images' pixels, in sky pixels.
    exposure : float
        Seconds.
    seed : int or `numpy.random.Generator`

    Returns
    -------
    rows : `~numpy.ndarray` of `ROW`, shape (n_events,)
        In the order of time, which has nothing to do with where an event is from.

    Raises
    ------
    ValueError
        If more than 1e9 events are expected.
    """
    rng = np.random.default_rng(seed)
    most = _largest_exposure(forward)
    expected = images.copy()
    expected[:n_sources] *= most  # and each photon is kept with the chance exposure / most
    if not expected.sum() < _MOST:
        msg = f"{expected.sum():.3g} events are expected, more than {_MOST:g}; check units, exposure and brightness."
        raise ValueError(msg)
    cells = _shuffled_cells(expected, rng)
    rows = np.zeros(len(cells), ROW)
    draw_energies = _energy_drawer(spectra, edges)
    n_pixels, (ny, nx) = images[0].size, images.shape[1:]
    n_kept = 0
    for start in range(0, len(cells), _CHUNK):
        component, pixel = np.divmod(cells[start : start + _CHUNK], n_pixels)
        y, x = (index + rng.random(len(index)) for index in np.divmod(pixel, nx))
        energy = draw_energies(component, rng)
        if forward.blur_terms or forward.exposure is not None:
            is_source = component < n_sources
            if forward.blur_terms:
                y, x = _displaced(y, x, energy, is_source, forward.blur_terms, edges, rng)
            energy_bin = np.searchsorted(edges, energy, side="right") - 1
            y, x, kept = _land(y, x, energy_bin, is_source, forward, most, rng)
            y, x, energy = y[kept], x[kept], energy[kept]
        chunk = rows[n_kept : n_kept + len(x)]
        chunk["x"] = SKY_CENTER + scale * (x - nx / 2)
        chunk["y"] = SKY_CENTER + scale * (y - ny / 2)
        chunk["energy"] = energy
        chunk["pi"] = channels_of(energy)
        n_kept += len(x)
    rows = rows[:n_kept]
    rows["ccd_id"] = 7
    _fill_times(rows, exposure, rng)
    log.info("%d events simulated; %d more photons went beyond the images or lacked exposure", n_kept,
             len(cells) - n_kept)  # fmt: skip
    return rows


def _shuffled_cells(expected, rng):
    """Draw which component and pixel each photon is from: indices into the flattened images, in random order."""
    counts = rng.poisson(expected).ravel()
    cells = np.repeat(np.arange(counts.size, dtype=np.uint32), counts)
    rng.shuffle(cells)
    return cells


def _energy_drawer(spectra, edges):
    """Make the function that draws energies for components: first the bin, then uniformly within it."""
    m, n = spectra.shape
    cumulative = np.cumsum(spectra, axis=0)
    cumulative = cumulative / np.where(cumulative[-1] > 0, cumulative[-1], 1.0)
    # One table for all components: that of component k rises from k to k + 1.
    cumulative = (cumulative + np.arange(n)).T.ravel()
    low, width = edges[:-1], np.diff(edges)

    def draw(component, rng):
        chance = rng.random(len(component)) * (1 - 2.0**-40)  # k + chance must not be rounded up to k + 1
        index = np.searchsorted(cumulative, component + chance, side="right") - component * np.int64(m)
        within = _OFF_THE_EDGE + (1 - 2 * _OFF_THE_EDGE) * rng.random(len(component))
        return (low[index] + width[index] * within).astype(np.float32)

    return draw


def _displaced(y, x, energy, is_source, terms, edges, rng):
    """Where photons go from their places: each by one of the blurs, as likely as its weight there."""
    if len(terms) == 1:
        dy, dx = terms[0].kernel.displacements(len(y), rng)
        return y + is_source * dy, x + is_source * dx
    energy_bin = np.searchsorted(edges, energy, side="right") - 1
    pixel = y.astype(np.intp), x.astype(np.intp)
    chances = [term.energies[energy_bin] * (1.0 if term.places is None else term.places[pixel]) for term in terms]
    limits = np.cumsum(chances, axis=0)
    chosen = np.count_nonzero(limits[:-1] <= rng.random(len(y)) * limits[-1], axis=0)
    for k, term in enumerate(terms):
        here = np.flatnonzero((chosen == k) & is_source)
        dy, dx = term.kernel.displacements(len(here), rng)
        y[here] += dy
        x[here] += dx
    return y, x


def _largest_exposure(forward):
    """Of all pixels and energies, relative to the full one."""
    if forward.exposure is None:
        return 1.0
    if forward.vignetting is None:
        return forward.exposure.max()
    energies, places = forward.vignetting.energies, forward.vignetting.places
    return max(np.max(forward.exposure * np.tensordot(each, places, 1)) for each in energies)


def _land(y, x, energy_bin, is_source, forward, most, rng):
    """Where photons land, and which of them are counted."""
    ny, nx = forward.kept.shape
    kept = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    if forward.exposure is not None:
        row, column = (np.where(kept, position, 0).astype(np.intp) for position in (y, x))
        chance = forward.exposure[row, column] / most
        if forward.vignetting is not None:
            energies, places = forward.vignetting.energies[energy_bin], forward.vignetting.places[:, row, column]
            chance *= np.einsum("ir,ri->i", energies, places)
        kept &= ~is_source | (rng.random(len(y)) < chance)
    return y, x, kept


def _fill_times(rows, exposure, rng):
    # Sums of exponential intervals, scaled to the exposure, are uniform times in order: nothing needs sorting.
    times = rng.standard_exponential(len(rows) + 1)
    np.cumsum(times, out=times)
    times *= exposure / times[-1]
    rows["time"] = times[:-1]
