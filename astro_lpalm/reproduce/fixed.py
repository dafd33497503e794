"""Spectra that are the same in training and test: what unrollings are made for, next to Fig. 8, where they vary."""

from .common import ORACLE
from .experiment import Experiment, Row
from .fig8 import FEW, KNOWN, RecordedISTA
from .methods import Network
from .plots import plot_bars
from .samples import fixed_samples

__all__ = []

_FIXED = {**FEW, "perturbation": 0.0}


def _row(name, kind, s_update, **options):
    return Row(name, Network({"s_update": s_update, **_FIXED, **options}), kind=kind)


EXPERIMENT = Experiment(
    name="fixed",
    title="Known spectra that do not vary: their mean in training and test",
    figure="nmse_s",
    samples=fixed_samples,
    rows=(
        Row("ISTA", RecordedISTA()),
        _row("LISTA", "paper", "lista"),
        _row("LISTA-CP", "paper", "lista-cp", epochs=KNOWN["epochs"]),  # which is that of Fig. 8
        _row("ISTA-LLT", "paper", "ista-llt"),
        _row("ADMM", "ours", "admm"),
        _row("ADMM-LLT", "ours", "admm-llt"),
        _row("ALISTA", "ours", "alista"),
        _row("deep NMF", "ours", "deep-nmf"),
        ORACLE,
    ),
    plot=plot_bars,
)
