"""The methods of the tables: what is trained or chosen before, and how a sample is then separated.

A method has ``settings(workspace)``, plain values that decide its figures besides data and seed, and
``prepare(workspace)``, which trains or chooses and returns a function from a `Sample` to a `Factorization`, and a
dictionary of further columns of the table. Only oracles look at the truth of a sample, and blind solvers for the order
and the signs that they leave open.
"""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from ..forward import least_squares
from ..separation import Factorization, align, posterior_mean, refine
from .workspace import disturb

__all__ = []


@dataclass(frozen=True)
class Network:
    """A trained network, by default LPALM.

    Attributes
    ----------
    options : dict
        See `Workspace.model`.
    refined : bool
        Whether its spectra are refined.
    sparse : bool
        Whether the sources are then the mean of their posterior distribution, not least squares.
    """

    options: dict = field(default_factory=dict)
    refined: bool = False
    sparse: bool = False

    def settings(self, workspace):
        """Return what decides the row."""
        return workspace.training_settings(**self.options) | {"refined": self.refined, "sparse": self.sparse}

    def prepare(self, workspace):
        """Train it."""
        model = workspace.model(**self.options)
        best = min(model.history, key=lambda row: row["validation_loss"])
        known = model.network.settings["a_update"] == "known"
        snr_db = self.options.get("known_snr_db")

        def separate(sample):
            if known:
                return model.separate(sample.X, spectra=given_spectra(workspace, sample, snr_db))
            with failures_counted():
                found = model.separate(sample.X, refine=self.refined)
            return replace(found, sources=posterior_mean(sample.X, found.spectra)) if self.sparse else found

        seconds = sum(row["seconds"] for row in model.history)
        return separate, {"training_seconds": seconds, "validation_nmse_s": best["nmse_s"]}


@dataclass(frozen=True)
class MeanSpectra:
    """The refinement without a network: it starts from the mean spectra of the training set."""

    def settings(self, workspace):
        """Return what decides the row."""
        return {}

    def prepare(self, workspace):
        """Take what is known of the components."""
        prior = workspace.protocol.training.prior

        def separate(sample):
            with failures_counted():
                return refine(sample.X, Factorization(prior.mean.T, None), prior)

        return separate, {}


@dataclass(frozen=True)
class Blind:
    """A solver that is made for the number of components and needs nothing else.

    Attributes
    ----------
    solver : type
    options : dict
        Of its constructor.
    domain : {"X", "cube"}
        Whether it separates details or pixels.
    """

    solver: type
    options: dict = field(default_factory=dict)
    domain: str = "X"

    def settings(self, workspace):
        """Return what decides the row."""
        return {"solver": self.solver.__name__, "domain": self.domain} | self.options

    def prepare(self, workspace):
        """Return the function that separates; there is nothing to prepare."""

        def separate(sample):
            solver = self.solver(sample.A.shape[1], **self.options)
            return align(solver.separate(getattr(sample, self.domain)), sample.A)

        return separate, {}


@dataclass(frozen=True)
class Oracle:
    """What least squares finds of the sources with the true spectra, and of the spectra with the true sources."""

    def settings(self, workspace):
        """Return what decides the row."""
        return {}

    def prepare(self, workspace):
        """Return the function that separates; there is nothing to prepare."""

        def separate(sample):
            spectra = np.linalg.solve(sample.S @ sample.S.T, sample.S @ sample.X.T).T
            return Factorization(spectra / np.linalg.norm(spectra, axis=0), least_squares(sample.X, sample.A))

        return separate, {}


def given_spectra(workspace, sample, snr_db):
    """Return the spectra that a solver which needs them is given: the true ones, with noise where that is wanted."""
    return sample.A if snr_db is None else disturb(sample.A, snr_db, [workspace.seed, 2, sample.index])


@contextmanager
def failures_counted():
    """Let the refinement keep a network's answer without a warning: a table counts the failures."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "refinement took component", AstropyUserWarning)
        yield
