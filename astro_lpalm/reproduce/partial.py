"""Fig. 9: the maps as they are, bright in the same places, which the paper leaves as an open problem."""

from dataclasses import replace

from .common import BLIND, ORACLE, REALISTIC, REALISTIC_REFINED, realistic_errors
from .experiment import Experiment, Row
from .plots import plot_bars
from .samples import real_samples

__all__ = []

_N_SAMPLES = 30

EXPERIMENT = Experiment(
    name="partial",
    title="Fig. 9: spectra in realistic mixtures, sources partially correlated",
    figure="nmse_a",
    samples=real_samples,
    rows=tuple(
        replace(row, n_samples=_N_SAMPLES)
        for row in (
            Row("LPALM", REALISTIC, paper={"nmse_a_median": 4.6e-2}),
            Row("LPALM, refined", REALISTIC_REFINED, kind="ours"),
            *BLIND,
            ORACLE,
        )
    ),
    plot=plot_bars,
    measure=realistic_errors,
)
