"""Table 4: what LPALM learns from: data alone, sources, spectra or both."""

from .common import BLIND, ORACLE, REFINED
from .experiment import Experiment, Row, errors
from .methods import Network
from .plots import plot_bars
from .samples import test_samples

__all__ = []


def _sum_of_errors(found, sample):
    figures = errors(found, sample)
    return {"nmse_sum": figures["nmse_s"] + figures["nmse_a"]} | figures


def _loss(name, loss, paper):
    return Row(name, Network({"loss": loss}), paper={"nmse_sum_median": paper})


EXPERIMENT = Experiment(
    name="table4",
    title="Table 4: losses, by the sum of NMSE(S) and NMSE(A)",
    figure="nmse_sum",
    samples=test_samples,
    rows=(
        _loss("unsupervised", "unsupervised", 0.568),
        _loss("sources", "sources", 1.15e-3),
        _loss("spectra", "spectra", 1.91e-3),
        _loss("sources + spectra", "sources+spectra", 1.12e-3),
        Row("log sources + log spectra", Network(), kind="ours"),
        REFINED,
        *BLIND,
        ORACLE,
    ),
    plot=plot_bars,
    measure=_sum_of_errors,
)
