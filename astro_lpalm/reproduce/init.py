"""Section 3.1.1: what a solver finds in one observation depends on where it starts, unless it is a trained network."""

from dataclasses import replace

from .common import BLIND, ORACLE, REFINED
from .experiment import Experiment, Row
from .fig2 import TunedPALM
from .methods import Network
from .plots import plot_bars
from .samples import one_sample_many_starts

__all__ = []

_PALM = {"nmse_s_median": 0.0201, "nmse_s_best": 0.0201, "nmse_s_worst": 0.473, "nmse_s_std": 0.176}

EXPERIMENT = Experiment(
    name="init",
    title="Section 3.1.1: one observation, 15 initialisations of PALM",
    figure="nmse_s",
    samples=one_sample_many_starts,
    rows=(
        Row("PALM", TunedPALM(), paper=_PALM, n_samples=15),
        # the others do not start from anywhere
        Row("LPALM", Network(), paper={"nmse_s_median": 1.0e-3}, most=1),
        *(replace(row, most=1) for row in (REFINED, *BLIND, ORACLE)),
    ),
    plot=plot_bars,
)
