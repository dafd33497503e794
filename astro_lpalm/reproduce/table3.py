"""Table 3: which of the updates of LPALM are learned, and how."""

from .common import BLIND, ORACLE, REFINED
from .experiment import Experiment, Row
from .methods import Network
from .plots import plot_bars
from .samples import test_samples

__all__ = []


def _variant(name, s_update, a_update, paper):
    return Row(name, Network({"s_update": s_update, "a_update": a_update}), paper={"nmse_s_median": paper})


EXPERIMENT = Experiment(
    name="table3",
    title="Table 3: updates of sources and spectra",
    figure="nmse_s",
    samples=test_samples,
    rows=(
        _variant("LISTA-CP, ISTA-LL (LPALM)", "lista-cp", "ista-ll", 8.5e-4),
        _variant("LISTA-CP, explicit", "lista-cp", "explicit", 9.7e-4),
        _variant("ISTA-LLT, ISTA-LL", "ista-llt", "ista-ll", 0.7943),
        _variant("ISTA-LLT, explicit", "ista-llt", "explicit", 0.7948),
        REFINED,
        *BLIND,
        ORACLE,
    ),
    plot=plot_bars,
)
