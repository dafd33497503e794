"""The spectrum of Cassiopeia A that Chandra took (ObsID 4634), next to what the components of a file can make.

    ASTRO_LPALM_DATA=... python benchmarks/casa.py [snr-acis snr-nei-acis ...] [--draws N]

All parameters of the components and their amplitudes are fitted to the counts in bins of seven channels from 0.5 to
7 keV, through the ARF and RMF of another observation with the same detector, with a systematic error of 3 % of each
bin. Printed are chi square a bin of the best of some random draws of the library, with amplitudes only, and of the fit;
the same where the energies may be off by a smooth function (a cubic polynomial); and the residuals.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares, nnls

from astro_lpalm.data import find_components_file
from astro_lpalm.instrument import PHA, Response
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary

SYSTEMATIC = 0.03
CHANNELS = 7
GAIN = np.array([0.1, 0.1, 0.1, 0.1])  # keV; the most that each coefficient of the polynomial may be


def library_through(name, arf, rmf):
    """Make the components of a file for a real response, and bins of whole channels."""
    lines = find_components_file(name).read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("epoch")]
    text = "\n".join(lines).replace("n_bins = 65", "channels_per_bin = 1")
    text = text.replace('instrument = "acis-s"', f'arf = "{arf}"\nrmf = "{rmf}"')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "components.toml"
        path.write_text(text, encoding="utf-8")
        return SpectralLibrary.from_file(path)


class Mixture:
    """The best mixture of spectra for given parameters, amplitudes not negative.

    Parameters
    ----------
    spectra : ParametricSpectra
        In single channels.
    edges : array
        Of the channels, keV.
    observed : array
        Counts in the channels.
    """

    def __init__(self, spectra, edges, observed):
        self.spectra, self.edges = spectra, edges
        self.bins = edges[: len(observed) // CHANNELS * CHANNELS + 1 : CHANNELS]
        self.observed = np.diff(np.interp(self.bins, edges, np.append(0, np.cumsum(observed))))
        self.error = np.sqrt(self.observed + (SYSTEMATIC * self.observed) ** 2)
        self.n = len(spectra.parameters)

    def matrix(self, x):
        """Spectra in bins, (bins, components), of parameters and, behind them, coefficients of the gain."""
        cumulative = np.cumsum(self.spectra.spectra(x[: self.n]), axis=0)
        counts = CubicSpline(self.edges, np.vstack([np.zeros(cumulative.shape[1]), cumulative]))
        along = 2 * (self.bins - self.bins[0]) / (self.bins[-1] - self.bins[0]) - 1
        moved = self.bins - chebyshev.chebval(along, GAIN * x[self.n :]) if len(x) > self.n else self.bins
        return np.diff(counts(np.clip(moved, *self.edges[[0, -1]])), axis=0)

    def amplitudes(self, x):
        """Fit the counts of each component."""
        return nnls(self.matrix(x) / self.error[:, np.newaxis], self.observed / self.error)[0]

    def residuals(self, x):
        """Give the residuals in units of the error."""
        A = self.matrix(x) / self.error[:, np.newaxis]
        y = self.observed / self.error
        return y - A @ nnls(A, y)[0]

    def chi_square(self, x):
        """Give chi square a bin."""
        return np.mean(self.residuals(x) ** 2)

    def fitted(self, starts, gain):
        """Fit from each of some parameters: the best end."""
        low = np.concatenate([np.zeros(self.n), np.full(len(GAIN) if gain else 0, -1.0)])
        ends = [
            least_squares(
                self.residuals, np.append(x, np.zeros(len(low) - self.n)), bounds=(low, 1), diff_step=1e-3, max_nfev=80
            )
            for x in starts
        ]
        return min(ends, key=lambda end: end.cost).x


def main():
    """Print a table for each file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["snr-acis", "snr-nei-acis"], metavar="NAME")
    parser.add_argument("--draws", type=int, default=1000, help="random draws, the best of which are where fits start")
    parser.add_argument("--starts", type=int, default=3, help="fits, from the best draws")
    parser.add_argument(
        "--response", nargs=2, default=["acis_snr.arf", "acis_snr.rmf.gz"], metavar=("ARF", "RMF"), help="in responses/"
    )
    options = parser.parse_args()
    responses = Path(os.environ["ASTRO_LPALM_DATA"]) / "responses"
    arf, rmf = (responses / name for name in options.response)
    spectrum = PHA.read(responses / "casa_obs4634.pi.gz")
    for name in options.names:
        library = library_through(name, arf, rmf)
        edges = library.energy_edges.value
        observed = spectrum.rebin(Response.read(arf, rmf).channel_edges, library.energy_edges).value
        mixture = Mixture(ParametricSpectra.from_library(library), edges, observed)
        drawn = np.random.default_rng(0).random((options.draws, mixture.n))
        of_draws = np.array([mixture.chi_square(theta) for theta in drawn])
        starts = drawn[np.argsort(of_draws)[: options.starts]]
        print(f"{name}: {len(mixture.bins) - 1} bins, best of {options.draws} draws: {of_draws.min():.2f}", flush=True)
        for gain in (False, True):
            report(mixture, mixture.fitted(starts, gain))


def report(mixture, x):
    """Print a fit: parameters, and the largest residuals."""
    gain = f", with energies off by {np.round(1e3 * GAIN * x[mixture.n :]).tolist()} eV" if len(x) > mixture.n else ""
    print(f"    fit: {mixture.chi_square(x):.2f}{gain}")
    amplitudes = mixture.amplitudes(x) / mixture.observed.sum()
    for component, part in zip(mixture.spectra.component_names, amplitudes):
        print(f"        {component}: {part:.1%} of the counts")
    for parameter, value in zip(mixture.spectra.parameters, mixture.spectra.values(x[: mixture.n])):
        print(f"        {parameter.component or 'all'} {parameter.name} {value:.4g} {parameter.unit}")
    left = mixture.residuals(x)
    centres = 0.5 * (mixture.bins[1:] + mixture.bins[:-1])
    relative = left * mixture.error / mixture.observed
    for k in np.argsort(-np.abs(left))[:8]:
        print(f"        {centres[k]:.2f} keV {left[k]:+.1f} sigma, {relative[k]:+.1%}")


if __name__ == "__main__":
    main()
