"""Planes of data and model that are computed a few at a time, from one energy to before another."""

import numpy as np

__all__ = ["background_planes", "data_planes", "expected_planes", "left_planes"]


def left_planes(fit, dtype, start, stop):
    """Lay data minus model out, (stop - start, ny, nx), with NaN in excluded pixels."""
    rows = (data - expected for data, expected in fit.rows(slice(start, stop)))
    return _on_sky(fit.forward.kept, rows, stop - start, dtype, np.nan)


def expected_planes(fit, dtype, start, stop):
    """Lay the model out, zero in excluded pixels."""
    return _on_sky(fit.forward.kept, fit.expected_rows(slice(start, stop)), stop - start, dtype, 0)


def data_planes(residuals, fit, start, stop):
    """Make the data of residuals, `~astro_lpalm.cube.Planes`, and what they were left by."""
    found = expected_planes(fit, float, start, stop)
    kept = fit.forward.kept
    found[:, kept] += residuals.read(start, stop)[:, kept]
    return found


def background_planes(fit, dtype, start, stop):
    """Lay the background out, with NaN in excluded pixels."""
    background = fit.forward.background
    return _on_sky(fit.forward.kept, map(background.__getitem__, range(start, stop)), stop - start, dtype, np.nan)


def _on_sky(kept, rows, n, dtype, elsewhere):
    found = np.full((n, *kept.shape), elsewhere, dtype=dtype)
    for plane, row in zip(found, rows):
        plane[kept] = row
    return found
