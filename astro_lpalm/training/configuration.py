"""Settings of a training, and the losses that it can have."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

__all__ = ["LOSSES", "Configuration", "relative_error"]


def relative_error(estimate, truth):
    """Give the NMSE, equation (10) of Fahes et al. (2022), of each example of a batch."""
    return ((estimate - truth) ** 2).sum(dim=(1, 2)) / (truth**2).sum(dim=(1, 2))


def _logarithmic(X, A, S, A_hat, S_hat):
    sources, spectra = (relative_error(*pair).clamp_min(_TINY).log() for pair in ((S_hat, S), (A_hat, A)))
    return sources + _WEIGHT_OF_SPECTRA * spectra


_TINY = 1e-12  # errors below are rounding
_WEIGHT_OF_SPECTRA = 0.3  # chosen on validation examples of section 3.1

#: Functions of a batch X (N, m, t), A (N, m, n), S (N, n, t) and its estimates of A and S, which return a value for
#: each example, (N,): logarithms of NMSE(S) and NMSE(A), to which easy and hard examples matter alike, and the losses
#: of Table 4 of Fahes et al. (2022).
LOSSES = {
    "log": _logarithmic,
    "sources+spectra": lambda X, A, S, A_hat, S_hat: relative_error(S_hat, S) + relative_error(A_hat, A),
    "sources": lambda X, A, S, A_hat, S_hat: relative_error(S_hat, S),
    "spectra": lambda X, A, S, A_hat, S_hat: relative_error(A_hat, A),
    "unsupervised": lambda X, A, S, A_hat, S_hat: relative_error(A_hat @ S_hat, X),
}


@dataclass(frozen=True)
class Configuration:
    """All that decides the outcome of a training besides its data; the parameters are those of `train`.

    A checkpoint keeps it, to be resumed with no other.
    """

    s_update: str | type
    a_update: str | type
    n_layers: int
    epochs: int
    batch_size: int
    learning_rate: float
    loss: str | Callable
    layer_decay: float
    validation_fraction: float
    patience: int | None
    seed: int

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}, but must be at least 1."
                raise ValueError(msg)
        if not self.learning_rate > 0:
            msg = f"learning_rate is {self.learning_rate}, but must be positive (3e-3 suits most training sets)."
            raise ValueError(msg)
        if not 0 <= self.layer_decay <= 1:
            msg = f"layer_decay is {self.layer_decay}, but must lie between 0 (last layer only) and 1 (all alike)."
            raise ValueError(msg)
        if self.patience is not None and self.patience < 1:
            msg = f"patience is {self.patience}, but must be a number of epochs, or None to see them all."
            raise ValueError(msg)
        if not 0 < self.validation_fraction < 1:
            msg = f"validation_fraction is {self.validation_fraction}, but must lie between 0 and 1."
            raise ValueError(msg)
        if not (callable(self.loss) or (isinstance(self.loss, str) and self.loss in LOSSES)):
            names = ", ".join(map(repr, LOSSES))
            msg = f"loss is {self.loss!r}, but must be one of {names}, or a function of X, A, S, A_hat and S_hat."
            raise ValueError(msg)

    @property
    def loss_function(self):
        """The function that ``loss`` names or is."""
        return self.loss if callable(self.loss) else LOSSES[self.loss]

    def named(self):
        """Give the settings as plain values: functions and classes by their names."""
        return {name: _name_of(value) if callable(value) else value for name, value in asdict(self).items()}


def _name_of(value):
    # as FITS can keep it; an object that can be called, or a partial function, has the name of its class
    name = next((key for key, function in LOSSES.items() if function is value), None)
    name = name or getattr(value, "__qualname__", type(value).__qualname__)
    return name.encode("ascii", "backslashreplace").decode()
