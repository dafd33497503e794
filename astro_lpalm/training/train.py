"""Learning the layers of an unrolled network from a training set."""

import logging
import math
import time
import warnings

import numpy as np
import torch
from astropy.utils.exceptions import AstropyUserWarning

from .._files import check_fits_name, check_output
from .._progress import Progress
from ..model import Model
from ..separation import UnrolledPALM
from .checkpoint import cached_checkpoint, read_checkpoint, write_checkpoint
from .configuration import Configuration, relative_error

__all__ = ["DivergenceWarning", "train"]

log = logging.getLogger(__name__)


class DivergenceWarning(AstropyUserWarning):
    """The loss stopped being a number, and training went back to the best weights.

    Examples
    --------
    Rather an error than the best weights until then:

    >>> import warnings
    >>> import numpy as np
    >>> from astro_lpalm import TrainingSet, train
    >>> from astro_lpalm.training import DivergenceWarning
    >>> A, S = np.ones((10, 5, 2)), np.ones((10, 2, 30))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", DivergenceWarning)
    ...     model = train(TrainingSet.from_arrays(A @ S, A, S), n_layers=2, epochs=1, progress=False)
    >>> len(model.history)
    1
    """


def train(
    training_set,
    *,
    n_layers=25,
    epochs=60,
    batch_size=8,
    learning_rate=3e-3,
    loss="log",
    layer_decay=0.0,
    s_update="lista-cp",
    a_update="ista-ll",
    validation_fraction=0.1,
    patience=None,
    seed=0,
    checkpoint=None,
    progress=True,
    device=None,
):
    """Train an unrolled network, LPALM unless told otherwise.

    Adam with a learning rate that rises over the first tenth of the steps and then falls along a cosine, gradients
    clipped to unit norm, in single precision. A part of the examples is kept for validation; the weights that did best
    on it are the ones returned. The same seed on the same machine gives the same weights.

    Parameters
    ----------
    training_set : `~astro_lpalm.training.TrainingSet`
    n_layers : int
        Number of layers K.
    epochs : int
        How often every example is seen.
    batch_size : int
        Examples to a step.
    learning_rate : float
        Its peak.
    loss : str or callable
        A key of ``astro_lpalm.training.LOSSES``. With "log" a model ends twice as near to the truth as with the
        paper's "sources+spectra", whose gradients come from the hardest examples. Or a function of your own, of the
        tensors X (N, m, t), A (N, m, n), S (N, n, t) of a batch and the network's A_hat and S_hat, that returns a
        tensor of N values to be made small. Checkpoint and model keep its name only (``__qualname__``).
    layer_decay : float
        Weight of the loss at each layer, relative to that at the next; 0 for the last layer only.
    s_update, a_update : str or type
        See `~astro_lpalm.separation.UnrolledPALM`. A model with a class of your own cannot be written to a file.
    validation_fraction : float
        Share of the examples kept for validation, at least one.
    patience : int, optional
        Stop after so many epochs without a better validation loss, which is said in the log. By default all epochs are
        seen: the loss falls most at the end, when the learning rate does.
    seed : int
        Decides which examples validate, and the order of the others.
    checkpoint : path or bool, optional
        A file that is written after every epoch. If it exists, training goes on from it and ends with the same
        result as one that was never interrupted. True for one in the user's cache directory (XDG_CACHE_HOME, or
        that of the system), whose name follows from settings and data, and which is removed when training is done.
    progress : bool
        Whether to show progress where standard error is a terminal.
    device : str or `torch.device`, optional
        By default the CPU.

    Returns
    -------
    `~astro_lpalm.model.Model`
        Its ``history`` has loss and validation NMSE of every epoch.

    Raises
    ------
    ValueError
        If a setting is out of range, the set is too small to be split, the checkpoint is of another training, or
        a loss of your own does not give a value for each example, or none that depends on the network's weights.
    OSError
        If the checkpoint cannot be read or written.
    RuntimeError
        If the loss is not finite before the end of the first epoch.
    KeyboardInterrupt
        If it is interrupted; its message says what is kept.

    Warns
    -----
    DivergenceWarning
        If it stops being finite later.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import TrainingSet, train
    >>> rng = np.random.default_rng(0)
    >>> A, S = rng.random((40, 8, 2)), rng.laplace(size=(40, 2, 50))
    >>> model = train(TrainingSet.from_arrays(A @ S, A, S), n_layers=4, epochs=5, progress=False)
    >>> model.history[-1]["validation_loss"] < model.history[0]["validation_loss"]
    True
    >>> model.separate(A[0] @ S[0]).sources.shape
    (2, 50)
    """
    configuration = Configuration(
        s_update, a_update, int(n_layers), int(epochs), int(batch_size), float(learning_rate), loss,
        float(layer_decay), float(validation_fraction), None if patience is None else int(patience), int(seed),
    )  # fmt: skip
    checkpoint = None if checkpoint is False else checkpoint
    is_cached = checkpoint is True
    if checkpoint is not None and not is_cached:
        check_fits_name(checkpoint)
        check_output(checkpoint, overwrite=True)
    run = _Run(training_set, configuration, device)
    if is_cached:
        checkpoint = cached_checkpoint(run.identity)
        log.info("every epoch is kept in '%s' until the training is done", checkpoint)
    if checkpoint is not None:
        run.restore(read_checkpoint(checkpoint, run.identity))
        if run.epoch:
            log.info("going on after epoch %d of %d, from '%s'", run.epoch, epochs, checkpoint)
    meter = Progress(epochs, "training", show=progress)
    meter.done = kept = run.epoch
    try:
        while run.epoch < epochs and not run.is_idle:
            if not run.one_epoch():
                break
            if checkpoint is not None:
                write_checkpoint(checkpoint, run.state(), run.identity)
                kept = run.epoch
            meter.step(f"validation NMSE S {run.history[-1]['nmse_s']:.2e} A {run.history[-1]['nmse_a']:.2e}")
    except KeyboardInterrupt as interruption:
        interruption.args = (_what_is_kept(run.epoch, epochs, checkpoint, kept),)
        raise
    if run.is_idle and run.epoch < epochs:
        best = min(run.history, key=lambda row: row["validation_loss"])["epoch"]
        log.info(
            "stopped after epoch %d of %d: %d epochs without a better validation loss; "
            "the weights are those of epoch %d",
            run.epoch, epochs, patience, best,
        )  # fmt: skip
    if is_cached:
        checkpoint.unlink(missing_ok=True)
    return run.model()


def _what_is_kept(epoch, epochs, checkpoint, kept):
    if checkpoint is None:
        return (
            f"interrupted after {epoch} of {epochs} epochs, and nothing was kept; with a checkpoint (--checkpoint "
            "FILE) a training goes on where it was interrupted."
        )
    if not kept:
        return f"interrupted in the first of {epochs} epochs, and nothing was kept."
    return f"interrupted; '{checkpoint}' keeps {kept} of {epochs} epochs, and the same training goes on from there."


class _Run:
    """A training under way: network, optimizer, best weights so far and history."""

    def __init__(self, training_set, configuration, device):
        self.set, self.configuration = training_set, configuration
        order = np.random.default_rng(configuration.seed).permutation(len(training_set))
        n_validation = max(1, round(configuration.validation_fraction * len(order)))
        self.validation, self.training = order[:n_validation], order[n_validation:]
        if len(self.training) < configuration.batch_size:
            msg = (
                f"{len(order)} examples leave {len(self.training)} for training, which do not fill a batch of "
                f"{configuration.batch_size}; give more examples or a smaller batch_size."
            )
            raise ValueError(msg)
        first = self.training[0]
        network = UnrolledPALM(configuration.s_update, configuration.a_update, configuration.n_layers)
        self.network = network.initialize(training_set.A[first]).float().to(device)
        self.known = not network.a_part.moves
        self.X, self.A, self.S = (
            torch.as_tensor(x, device=device) for x in (training_set.X, training_set.A, training_set.S)
        )
        self.statistics = self._measure()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=configuration.learning_rate)
        self.epoch, self.history = 0, []
        self.best, self.best_loss = None, math.inf

    @property
    def identity(self):
        """Settings and a fingerprint of the data, as plain values."""
        fingerprint = float(np.abs(self.set.X[:: max(1, len(self.set) // 100)]).sum(dtype=np.float64))
        return self.configuration.named() | {"shape": str(self.set.X.shape), "fingerprint": repr(fingerprint)}

    @torch.no_grad()
    def _measure(self):
        # Power and noise of every example, once: they do not change while the network learns.
        parts = [self.network.measure(self.X[i : i + 64]) for i in range(0, len(self.X), 64)]
        return tuple(torch.cat(values) for values in zip(*parts))

    @property
    def is_idle(self):
        """Whether the last epochs, as many as patience lasts, have brought nothing."""
        losses = [row["validation_loss"] for row in self.history]
        patience = self.configuration.patience
        return patience is not None and len(losses) > patience and min(losses[-patience:]) > min(losses)

    def _layers(self, batch):
        statistics = tuple(values[batch] for values in self.statistics)
        return self.network.layers(self.X[batch], self.A[batch] if self.known else None, statistics)

    def _loss_of(self, batch, estimate):
        loss = self.configuration.loss_function(self.X[batch], self.A[batch], self.S[batch], *estimate)
        if not isinstance(loss, torch.Tensor) or loss.shape != (len(batch),):
            given = f"shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else f"{loss!r}, no tensor"
            name = self.configuration.named()["loss"]
            msg = f"loss '{name}' gave {given}; return a tensor of one value for each example, here ({len(batch)},)."
            raise ValueError(msg)
        return loss

    def _loss(self, batch):
        decay = self.configuration.layer_decay
        if not decay:
            *_, last = self._layers(batch)
            return self._loss_of(batch, last)
        total = weight = 0.0
        for estimate in self._layers(batch):
            total, weight = decay * total + self._loss_of(batch, estimate), decay * weight + 1
        return total / weight

    def one_epoch(self):
        """See every training example once; return whether it went well."""
        start = time.monotonic()
        size = self.configuration.batch_size
        order = np.random.default_rng([self.configuration.seed, self.epoch]).permutation(self.training)
        batches = order[: len(order) // size * size].reshape(-1, size)
        losses = []
        for step, batch in enumerate(batches, start=self.epoch * len(batches)):
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate(step, self.configuration.epochs * len(batches))
            self.optimizer.zero_grad()
            loss = self._loss(batch).mean()
            if not loss.requires_grad:
                name = self.configuration.named()["loss"]
                msg = f"loss '{name}' does not depend on what the network learns; compute it from A_hat or S_hat."
                raise ValueError(msg)
            if not torch.isfinite(loss):
                self._diverged(step)
                return False
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            losses.append(loss.item())
        self.epoch += 1
        self._validate(float(np.mean(losses)), time.monotonic() - start)
        return True

    def _learning_rate(self, step, n_steps):
        # one cycle: a linear rise over the first tenth, then half a cosine down to nothing
        peak, rise = self.configuration.learning_rate, max(1, n_steps // 10)
        if step < rise:
            return peak * (step + 1) / rise
        return peak * 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(1, n_steps - rise)))

    @torch.no_grad()
    def _validate(self, training_loss, seconds):
        figures = []
        for i in range(0, len(self.validation), 64):
            batch = self.validation[i : i + 64]
            *_, (A, S) = self._layers(batch)
            errors = (
                self._loss_of(batch, (A, S)),
                relative_error(S, self.S[batch]),
                relative_error(A, self.A[batch]),
            )
            figures.append(torch.stack(errors))
        loss, nmse_s, nmse_a = torch.cat(figures, dim=1).cpu()
        row = {
            "epoch": self.epoch,
            "training_loss": training_loss,
            "validation_loss": float(loss.mean()),
            "nmse_s": float(nmse_s.median()),
            "nmse_a": float(nmse_a.median()),
            "seconds": seconds,
        }
        self.history.append(row)
        if row["validation_loss"] < self.best_loss:
            self.best_loss = row["validation_loss"]
            self.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def _diverged(self, step):
        advice = f"lower learning_rate (now {self.configuration.learning_rate:g})"
        if self.best is None:
            msg = f"training diverged at step {step}, in the first epoch: {advice}, and check the scale of the data."
            raise RuntimeError(msg)
        msg = f"training diverged at step {step}; the best weights, of {len(self.history)} epochs, are kept: {advice}."
        warnings.warn(msg, DivergenceWarning, stacklevel=4)

    def state(self):
        """All that resuming needs, as plain arrays."""
        arrays = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        arrays |= {f"best/{name}": value for name, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            arrays |= {f"adam/{index}/{name}": value for name, value in moments.items()}
        arrays = {name: value.cpu().numpy() for name, value in arrays.items()}
        for name in self.history[0]:
            arrays[f"history/{name}"] = np.array([row[name] for row in self.history], dtype=np.float64)
        return arrays

    def restore(self, arrays):
        """Take over what `state` left behind; `None` leaves everything as it is."""
        if arrays is None:
            return
        tree = {}
        for name, value in arrays.items():
            head, tail = name.split("/", 1)
            tree.setdefault(head, {})[tail] = value
        self.network.load_state_dict({name: torch.as_tensor(value) for name, value in tree["network"].items()})
        self.best = {name: torch.as_tensor(value).to(self.X.device) for name, value in tree["best"].items()}
        adam = {}
        for name, value in tree["adam"].items():
            index, moment = name.split("/")
            adam.setdefault(int(index), {})[moment] = torch.as_tensor(value)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": adam, "param_groups": groups})
        columns = tree["history"]
        self.history = [
            {name: int(column[i]) if name == "epoch" else float(column[i]) for name, column in columns.items()}
            for i in range(len(columns["epoch"]))
        ]
        self.epoch = len(self.history)
        self.best_loss = min(row["validation_loss"] for row in self.history)

    def model(self):
        """Return the model with the best weights."""
        self.network.load_state_dict(self.best)
        settings = {
            "EPOCHS": self.epoch,
            "BATCH": self.configuration.batch_size,
            "RATE": self.configuration.learning_rate,
        }
        settings |= {"LOSS": self.configuration.named()["loss"], "SEED": self.configuration.seed}
        if self.configuration.layer_decay:
            settings["LAYERDEC"] = self.configuration.layer_decay
        return Model(
            self.network.cpu(),
            component_names=self.set.component_names,
            energy_edges=self.set.energy_edges,
            prior=self.set.prior,
            physics=self.set.physics,
            components_file="" if self.set.library is None else self.set.library.text,
            history=self.history,
            description=(self.set.description or {}) | settings,
        )
