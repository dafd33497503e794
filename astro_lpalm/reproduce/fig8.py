"""Fig. 8: solvers that are given the spectra, as they are or with noise, layer by layer."""

from dataclasses import dataclass

import numpy as np
import torch

from ..separation import ISTA, Factorization, nmse
from .common import ORACLE
from .experiment import Experiment, Row, errors
from .methods import Network, given_spectra
from .plots import plot_layers
from .samples import test_samples

__all__ = []

_N_LAYERS = 25
#: Options of networks that are given the spectra, and of those with a few numbers to learn in each layer.
KNOWN = {"a_update": "known", "loss": "sources", "epochs": 20}
FEW = {**KNOWN, "epochs": 5}
_SNR_DB = 10.0
# Trained without the library of spectra: on their mean, and on Gaussian perturbations of it up to this standard
# deviation. That of the library itself, about its mean, is 0.072, which a range up to 0.125 has, too.
_PERTURBATIONS = {"mean spectra": 0.0, "perturbed by 0.03": 0.03, "perturbed by 0.125": 0.125}
_NOISY = {**KNOWN, "known_snr_db": _SNR_DB, "epochs": 8}  # of several copies of each example


@dataclass(frozen=True)
class LayerByLayer(Network):
    """A trained network whose sources are recorded after each layer."""

    def prepare(self, workspace):
        """Train it."""
        _, notes = super().prepare(workspace)
        network = workspace.model(**self.options).network.copy().double()

        @torch.no_grad()
        def separate(sample):
            spectra = None
            if not network.a_part.moves:
                spectra = given_spectra(workspace, sample, self.options.get("known_snr_db"))
                spectra = torch.as_tensor(spectra)[None]
            layers = list(network.layers(torch.as_tensor(sample.X)[None], spectra))
            sources = [S[0].numpy() for _, S in layers]
            return Factorization(layers[-1][0][0].numpy(), sources[-1], len(layers), history={"sources": sources})

        return separate, notes


@dataclass(frozen=True)
class RecordedISTA:
    """ISTA with as many iterations as the networks have layers, recorded after each.

    Attributes
    ----------
    known_snr_db : float, optional
        The signal-to-noise ratio of the spectra that it is given.
    """

    known_snr_db: float | None = None

    def settings(self, workspace):
        """Return what decides the row."""
        return {"known_snr_db": self.known_snr_db, "n_iter": _N_LAYERS}

    def prepare(self, workspace):
        """Return the function that separates; there is nothing to prepare."""

        def separate(sample):
            spectra = given_spectra(workspace, sample, self.known_snr_db)
            runs = [ISTA(n_iter=n + 1).separate(sample.X, spectra=spectra) for n in range(_N_LAYERS)]
            return Factorization(spectra, runs[-1].sources, _N_LAYERS, history={"sources": [r.sources for r in runs]})

        return separate, {}


def _errors_by_layer(found, sample):
    sources = found.history.get("sources", [found.sources] * _N_LAYERS)
    return errors(found, sample) | {"nmse_s_by_layer": np.array([nmse(S, sample.S) for S in sources])}


EXPERIMENT = Experiment(
    name="fig8",
    title="Fig. 8: known spectra, and spectra known at 10 dB",
    figure="nmse_s",
    samples=test_samples,
    rows=(
        Row("ISTA", RecordedISTA()),
        Row("LISTA", LayerByLayer({"s_update": "lista", **KNOWN})),
        Row("LISTA-CP", LayerByLayer({"s_update": "lista-cp", **KNOWN})),
        Row("ISTA-LLT", LayerByLayer({"s_update": "ista-llt", **KNOWN})),
        Row("ADMM", LayerByLayer({"s_update": "admm", **KNOWN}), kind="ours"),
        Row("ADMM-LLT", LayerByLayer({"s_update": "admm-llt", **FEW}), kind="ours"),
        Row("ALISTA", LayerByLayer({"s_update": "alista", **FEW}), kind="ours"),
        Row("deep NMF", LayerByLayer({"s_update": "deep-nmf", **KNOWN}), kind="ours"),
        *(
            Row(
                f"LISTA-CP, {name}",
                LayerByLayer({"s_update": "lista-cp", "perturbation": largest, **KNOWN}),
                kind="ours",
            )
            for name, largest in _PERTURBATIONS.items()
        ),
        Row("LISTA-CP, 10 dB", LayerByLayer({"s_update": "lista-cp", **_NOISY})),
        Row("ISTA-LLT, 10 dB", LayerByLayer({"s_update": "ista-llt", **_NOISY})),
        Row("LPALM, spectra unknown", LayerByLayer(), kind="ours"),
        ORACLE,
    ),
    plot=plot_layers,
    measure=_errors_by_layer,
)
