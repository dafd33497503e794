"""Fig. 2: what PALM reaches with each threshold on training samples, and the threshold that follows from it."""

from dataclasses import dataclass

import numpy as np

from ..separation import PALM, align
from .common import ORACLE
from .experiment import Experiment, Row
from .plots import plot_thresholds
from .samples import tuning_samples

__all__ = []

# Ten to a decade, with the paper's choice among them; every sixth of them in a quick run.
PAPER_CHOICE = 2e-3
_THRESHOLDS = [float(f"{PAPER_CHOICE * 10 ** (step / 10):.3g}") for step in range(-10, 20)]
_MAX_ITER = 10_000


@dataclass(frozen=True)
class FixedPALM:
    """PALM from the spectra of a training example.

    What it finds is put in the order of the truth. Signs and norms stay: it starts from spectra with the right ones.

    Attributes
    ----------
    threshold : float
    """

    threshold: float

    def settings(self, workspace):
        """Return what decides the row."""
        return {"threshold": self.threshold, "max_iter": _MAX_ITER}

    def prepare(self, workspace):
        """Return the function that separates; there is nothing to prepare."""

        def separate(sample):
            solver = PALM(sample.start, threshold=self.threshold, max_iter=_MAX_ITER)
            return align(solver.separate(sample.X), sample.A, sign=False, scale=False)

        return separate, {}


@dataclass(frozen=True)
class TunedPALM:
    """PALM with the threshold of the lowest median NMSE(S) on the training samples of Fig. 2."""

    def settings(self, workspace):
        """Return what decides the row."""
        return {"thresholds": [row.labels["threshold"] for row in _ROWS if row.quick or not workspace.quick]}

    def prepare(self, workspace):
        """Choose the threshold."""
        table, _ = EXPERIMENT.compute(workspace, [row.name for row in _ROWS])
        threshold = float(table["threshold"][np.argmin(table["nmse_s_median"])])
        separate, _ = FixedPALM(threshold).prepare(workspace)
        return separate, {"threshold": threshold}


_ROWS = tuple(
    Row(
        f"PALM, threshold {threshold:g}",
        FixedPALM(threshold),
        paper={"nmse_s_median": 8.72e-3, "n_iter_median": 1435.0} if threshold == PAPER_CHOICE else {},
        labels={"threshold": threshold},
        quick=index % 6 == 4,
    )
    for index, threshold in enumerate(_THRESHOLDS)
)

EXPERIMENT = Experiment(
    name="fig2",
    title="Fig. 2: PALM against its threshold, on training samples",
    figure="nmse_s",
    samples=tuning_samples,
    rows=(*_ROWS, ORACLE),
    plot=plot_thresholds,
)
