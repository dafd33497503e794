"""The rows of the accuracy tables: what separates, and how its errors are summed up."""

import warnings

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from ..separation import Factorization, align, least_squares, nmse, refine

__all__ = ["errors", "methods", "row", "spread_indices"]

_FAILED = 0.01


def methods(model):
    """Name what is compared, as functions of X and of the true A and S, which only the oracles use."""

    def network(X, A, S):
        return model.separate(X, refine=False)

    def refined(X, A, S):
        return model.separate(X)

    def from_mean(X, A, S):
        with warnings.catch_warnings():
            # That it goes astray without the network is what this row shows: its failures are counted.
            warnings.filterwarnings("ignore", "refinement took component", AstropyUserWarning)
            return refine(X, Factorization(model.library.mean.T, None), model.library)

    def true_spectra(X, A, S):
        return Factorization(A, least_squares(X, A))

    def true_sources(X, A, S):
        spectra = np.linalg.solve(S @ S.T, S @ X.T).T
        return Factorization(spectra / np.linalg.norm(spectra, axis=0), S)

    return {
        "LPALM": network,
        "LPALM, refined": refined,
        "refinement alone": from_mean,
        "true spectra": true_spectra,
        "true sources": true_sources,
    }


def errors(found, A, S):
    """NMSE of sources and spectra as they are, and of the spectra with the truth's order, signs and norms."""
    return {
        "nmse_s": nmse(found.sources, S),
        "nmse_a": nmse(found.spectra, A),
        "nmse_a_aligned": nmse(align(found, A).spectra, A),
    }


def row(method, figures):
    """Sum up the figures of all samples, a list of dictionaries with ``seconds`` and errors."""
    summary = {"method": method}
    for name in figures[0]:
        values = np.array([sample[name] for sample in figures])
        if name == "seconds":
            summary[name] = float(np.median(values))
        else:
            summary |= {f"{name}_median": float(np.median(values)), f"{name}_mean": float(values.mean())}
        if name == "nmse_a":
            summary["failures"] = int(np.sum(values > _FAILED))
    return summary


def spread_indices(total, n_samples):
    """Take so many of all samples, evenly spread, or all of them for `None`: they are sorted by likeness."""
    return np.arange(total) if n_samples is None else np.linspace(0, total - 1, n_samples).round().astype(int)
