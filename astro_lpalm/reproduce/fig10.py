"""Fig. 10: the number of layers, on the training's own validation split and on test samples unlike those that train."""

from .common import ORACLE
from .experiment import Experiment, Row
from .methods import Network
from .plots import plot_depths
from .samples import test_samples

__all__ = []

_DEPTHS = (5, 10, 25, 50)
_QUICK_DEPTHS = (5, 25)


def _rows(name, kind, refined):
    return tuple(
        Row(
            f"{name}, K = {depth}",
            Network({"n_layers": depth}, refined),
            kind=kind,
            labels={"n_layers": depth, "refined": str(refined)},
            quick=depth in _QUICK_DEPTHS,
        )
        for depth in _DEPTHS
    )


EXPERIMENT = Experiment(
    name="fig10",
    title="Fig. 10: LPALM with K layers",
    figure="nmse_s",
    samples=test_samples,
    rows=(*_rows("LPALM", "paper", False), *_rows("LPALM, refined", "ours", True), ORACLE),
    plot=plot_depths,
)
