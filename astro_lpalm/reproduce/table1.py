"""Table 1: the error of the sources, and how near it comes to what the true spectra would allow."""

from .common import BLIND, ORACLE, REFINED, SPARSE
from .experiment import Experiment, Row
from .fig2 import PAPER_CHOICE, FixedPALM, TunedPALM
from .methods import MeanSpectra, Network
from .plots import plot_bars
from .samples import test_samples

__all__ = []

_PALM = {"nmse_s_median": 0.0176, "n_iter_median": 2011.0}

EXPERIMENT = Experiment(
    name="table1",
    title="Table 1: sources of section 3.1",
    figure="nmse_s",
    samples=test_samples,
    rows=(
        Row("PALM", TunedPALM(), paper=_PALM),
        Row("PALM, the paper's threshold", FixedPALM(PAPER_CHOICE), paper=_PALM),
        Row("LPALM", Network(), paper={"nmse_s_median": 8.5e-4}),
        REFINED,
        SPARSE,
        Row("refinement alone", MeanSpectra(), kind="ours"),
        *BLIND,
        ORACLE,
    ),
    plot=plot_bars,
)
