import importlib
import warnings

import numpy as np
import pytest
import torch

from astro_lpalm._shell import Terminated
from astro_lpalm.model import Model
from astro_lpalm.separation import IstaLLTUpdate, UnrolledPALM, nmse
from astro_lpalm.training import LOSSES, DivergenceWarning, train

from .conftest import make_training_set

# The function of the same name hides the module from plain imports.
train_module = importlib.import_module("astro_lpalm.training.train")

QUICK = {"n_layers": 5, "epochs": 4, "batch_size": 6}


def weights(model):
    return {name: value.numpy() for name, value in model.network.state_dict().items()}


def assert_same_weights(one, other):
    assert weights(one).keys() == weights(other).keys()
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(other)[name], err_msg=name)


def test_learns_to_separate_what_it_has_not_seen(training_set):
    model = train(training_set, n_layers=8, epochs=60, batch_size=6)
    unseen = make_training_set(20, seed=9)
    found = [model.separate(X, refine=False) for X in unseen.X]
    errors_s = [nmse(f.sources, S) for f, S in zip(found, unseen.S)]
    errors_a = [nmse(f.spectra, A) for f, A in zip(found, unseen.A)]
    assert np.median(errors_s) < 0.02
    assert np.median(errors_a) < 0.02
    assert model.component_names == ("low", "high")
    np.testing.assert_array_equal(model.energy_edges, training_set.energy_edges)


def test_history_and_best_weights(training_set):
    model = train(training_set, **QUICK, loss="sources+spectra")
    assert [row["epoch"] for row in model.history] == [1, 2, 3, 4]
    losses = [row["validation_loss"] for row in model.history]
    assert losses[-1] < losses[0]
    # The validation loss of the weights that came back is the best one there was.
    order = np.random.default_rng(0).permutation(len(training_set))[:5]
    A, S = model.network(torch.as_tensor(training_set.X[order]))
    loss = nmse(S.detach(), training_set.S[order]) + nmse(A.detach(), training_set.A[order])
    assert loss.mean() == pytest.approx(min(losses), rel=1e-5)


def test_same_seed_same_weights(training_set):
    assert_same_weights(train(training_set, **QUICK), train(training_set, **QUICK))
    other = train(training_set, **QUICK, seed=1)
    assert not np.array_equal(other.network.s_part.W.detach(), train(training_set, **QUICK).network.s_part.W.detach())


def test_resuming_changes_nothing(training_set, tmp_path, monkeypatch):
    uninterrupted = train(training_set, **QUICK)
    checkpoint = tmp_path / "checkpoint.fits"
    layers, calls = UnrolledPALM.layers, []

    def interrupted_layers(self, *arguments):
        calls.append(1)
        if len(calls) == 20:  # in the third epoch
            raise KeyboardInterrupt
        return layers(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(UnrolledPALM, "layers", interrupted_layers)
        with pytest.raises(KeyboardInterrupt):
            train(training_set, **QUICK, checkpoint=checkpoint)
    assert checkpoint.exists()
    resumed = train(training_set, **QUICK, checkpoint=checkpoint)
    assert_same_weights(resumed, uninterrupted)
    assert [r["validation_loss"] for r in resumed.history] == [r["validation_loss"] for r in uninterrupted.history]
    # Once more, with nothing left to do.
    assert_same_weights(train(training_set, **QUICK, checkpoint=checkpoint), uninterrupted)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("missing/c.fits", FileNotFoundError, "no directory '.*missing'; create it first"),
        (".", IsADirectoryError, "it is a directory"),
        ("c.fits.xz", ValueError, "a FITS file cannot end in '.xz'"),
        ("mine.fits", OSError, "cannot read '.*mine.fits' as a FITS file"),
    ],
)
def test_checkpoint_is_checked_first(training_set, tmp_path, monkeypatch, name, kind, message):
    (tmp_path / "mine.fits").write_text("mine")
    monkeypatch.setattr(UnrolledPALM, "layers", lambda *arguments: pytest.fail("nothing must be computed"))
    with pytest.raises(kind, match=message):
        train(training_set, **QUICK, checkpoint=tmp_path / name)
    assert (tmp_path / "mine.fits").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, Terminated])
def test_interruption_says_what_is_kept(training_set, tmp_path, monkeypatch, error):
    one_epoch, calls = train_module._Run.one_epoch, []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 3:
            raise error
        return one_epoch(self)

    monkeypatch.setattr(train_module._Run, "one_epoch", interrupted)
    with pytest.raises(
        error, match=r"after 2 of 4 epochs, and nothing was kept; with a checkpoint \(--checkpoint FILE"
    ):
        train(training_set, **QUICK)
    calls.clear()
    with pytest.raises(error, match=r"'\S*c.fits' keeps 2 of 4 epochs, and the same training goes on"):
        train(training_set, **QUICK, checkpoint=tmp_path / "c.fits")


def test_checkpoint_in_the_cache(training_set, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    caplog.set_level("INFO", "astro_lpalm")
    whole = train(training_set, **QUICK)
    assert not list(tmp_path.glob("astro_lpalm/training-*"))
    one_epoch, calls = train_module._Run.one_epoch, []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return one_epoch(self)

    with monkeypatch.context() as patch:
        patch.setattr(train_module._Run, "one_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"training-[0-9a-f]{16}.fits' keeps 2 of 4 epochs"):
            train(training_set, **QUICK, checkpoint=True)
    (kept,) = tmp_path.glob("astro_lpalm/training-*")
    assert f"every epoch is kept in '{kept}' until the training is done" in caplog.messages
    train(training_set, **QUICK, seed=3, checkpoint=True)  # has a file of its own
    caplog.clear()
    assert_same_weights(train(training_set, **QUICK, checkpoint=True), whole)
    assert f"going on after epoch 2 of 4, from '{kept}'" in caplog.messages
    assert not kept.exists()


def test_checkpoint_of_another_training(training_set, tmp_path):
    checkpoint = tmp_path / "checkpoint.fits"
    train(training_set, **QUICK, checkpoint=checkpoint)
    with pytest.raises(ValueError, match="another training, with seed 0 \\(now 3\\)"):
        train(training_set, **QUICK, seed=3, checkpoint=checkpoint)
    with pytest.raises(ValueError, match="fingerprint"):
        train(make_training_set(seed=5), **QUICK, checkpoint=checkpoint)
    damaged = bytearray(checkpoint.read_bytes())
    damaged[-2870] ^= 1  # in the data of the last extension
    checkpoint.write_bytes(damaged)
    with pytest.raises(OSError, match="checksum of extension"):
        train(training_set, **QUICK, checkpoint=checkpoint)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_losses_fall(training_set, loss):
    model = train(training_set, **QUICK, loss=loss)
    assert model.history[-1]["training_loss"] < model.history[0]["training_loss"]


def relative_errors(X, A, S, A_hat, S_hat):
    """Do what the loss "sources+spectra" does."""
    pairs = ((S_hat, S), (A_hat, A))
    return sum(((found - true) ** 2).sum(dim=(1, 2)) / (true**2).sum(dim=(1, 2)) for found, true in pairs)


class CountedLoss:
    def __init__(self):
        self.shapes = set()

    def __call__(self, *batch):
        self.shapes.add(tuple(each.shape[1:] for each in batch))
        return relative_errors(*batch)


def test_own_loss(training_set, tmp_path):
    expected, found = (train(training_set, **QUICK, loss=loss) for loss in ("sources+spectra", relative_errors))
    assert_same_weights(found, expected)
    assert found.description["LOSS"] == "relative_errors"
    found.write(tmp_path / "model.fits")
    assert Model.read(tmp_path / "model.fits").description["LOSS"] == "relative_errors"
    counted = CountedLoss()
    assert train(training_set, **QUICK, loss=counted).description["LOSS"] == "CountedLoss"
    assert counted.shapes == {((12, 60), (12, 2), (2, 60), (12, 2), (2, 60))}
    assert train(training_set, **QUICK, loss=LOSSES["spectra"]).description["LOSS"] == "spectra"


def test_name_of_own_loss_in_other_letters(training_set, tmp_path):
    def größe(*batch):
        return relative_errors(*batch)

    train(training_set, **QUICK, loss=größe).write(tmp_path / "model.fits")
    assert Model.read(tmp_path / "model.fits").description["LOSS"].endswith(r"<locals>.gr\xf6\xdfe")


def test_checkpoint_tells_own_losses_apart(training_set, tmp_path):
    checkpoint = tmp_path / "checkpoint.fits"
    whole = train(training_set, **QUICK, loss=relative_errors, checkpoint=checkpoint)
    assert_same_weights(train(training_set, **QUICK, loss=relative_errors, checkpoint=checkpoint), whole)
    with pytest.raises(ValueError, match="another training, with loss relative_errors \\(now log\\)"):
        train(training_set, **QUICK, checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda *batch: relative_errors(*batch).mean(), r"loss '.*<lambda>' gave shape \(\); return a .*, here \(6,\)"),
        (lambda *batch: 1.0, "gave 1.0, no tensor; return a tensor of one value for each example"),
        (
            lambda X, A, S, A_hat, S_hat: X.sum(dim=(1, 2)),
            "does not depend on what the network learns; compute it",
        ),
    ],
)
def test_own_loss_that_is_none(training_set, loss, message):
    with pytest.raises(ValueError, match=message):
        train(training_set, **QUICK, loss=loss)


class SameISTALLT(IstaLLTUpdate):
    pass


def test_own_update_learns_the_same(training_set, tmp_path):
    expected = train(training_set, **QUICK, s_update="ista-llt")
    found = train(training_set, **QUICK, s_update=SameISTALLT, checkpoint=tmp_path / "checkpoint.fits")
    assert_same_weights(found, expected)
    with pytest.raises(ValueError, match="s_update SameISTALLT \\(now ista-llt\\)"):
        train(training_set, **QUICK, s_update="ista-llt", checkpoint=tmp_path / "checkpoint.fits")


def test_loss_of_every_layer(training_set):
    deep = train(training_set, **QUICK, layer_decay=0.9)
    X, truth = torch.as_tensor(training_set.X[:5]), training_set.S[:5]
    errors = [np.median(nmse(S.detach(), truth)) for _, S in deep.network.layers(X)]
    last_only = train(training_set, **QUICK).network
    others = [np.median(nmse(S.detach(), truth)) for _, S in last_only.layers(X)]
    assert errors[1] < others[1]  # what the early layers have learned to do by themselves
    run = train_module._Run(training_set, train_module.Configuration("lista-cp", "ista-ll", 5, 1, 6, 1e-3,
                            "log", 0.5, 0.1, None, 0), None)  # fmt: skip
    batch = np.arange(3)
    losses = torch.stack([run._loss_of(batch, estimate) for estimate in run._layers(batch)])
    weights = 0.5 ** torch.arange(4, -1, -1)[:, None]
    torch.testing.assert_close(run._loss(batch), (weights * losses).sum(0) / weights.sum())


def test_patience(training_set, monkeypatch, caplog):
    caplog.set_level("INFO", "astro_lpalm")
    losses = iter([5.0, 3.0, 4.0, 2.0, 2.5, 2.5, 2.5, 1.0])

    def validate(self, training_loss, seconds):
        self.history.append({"epoch": self.epoch, "validation_loss": next(losses), "nmse_s": 1.0, "nmse_a": 1.0})
        self.best = self.network.state_dict()

    monkeypatch.setattr(train_module._Run, "_validate", validate)
    model = train(training_set, **QUICK | {"epochs": 8}, patience=3)
    assert len(model.history) == 7
    assert caplog.messages[-1] == (
        "stopped after epoch 7 of 8: 3 epochs without a better validation loss; the weights are those of epoch 4"
    )


@pytest.mark.parametrize("s_update", ["lista", "lista-cp", "ista-llt"])
def test_known_spectra(training_set, s_update):
    model = train(training_set, **QUICK, s_update=s_update, a_update="known", loss="sources")
    assert model.history[-1]["validation_loss"] < model.history[0]["validation_loss"]


def test_divergence_at_once(training_set):
    with pytest.raises(RuntimeError, match="diverged at step 1, in the first epoch: lower learning_rate"):
        train(training_set, **QUICK | {"n_layers": 25}, learning_rate=1e18)


def test_divergence_keeps_the_best(training_set, monkeypatch):
    # Seven steps to an epoch: the third goes wrong.
    monkeypatch.setattr(train_module._Run, "_learning_rate", lambda self, step, n_steps: 1e-3 if step < 15 else 1e18)
    with pytest.warns(DivergenceWarning, match="best weights, of 2 epochs, are kept: lower learning_rate"):
        model = train(training_set, **QUICK | {"n_layers": 25})
    assert len(model.history) == 2
    assert all(np.isfinite(value).all() for value in weights(model).values())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs is 0, but must be at least 1"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0, but must be positive"),
        ({"validation_fraction": 1.0}, "between 0 and 1"),
        ({"layer_decay": 1.5}, "layer_decay is 1.5, but must lie between 0"),
        ({"patience": 0}, "patience is 0, but must be a number of epochs"),
        ({"loss": "mse"}, "loss is 'mse', but must be one of 'log', 'sources\\+spectra'"),
        ({"loss": ["log"]}, "loss is \\['log'\\], but must be one of .*, or a function of X, A, S, A_hat and S_hat"),
        ({"batch_size": 100}, "do not fill a batch of 100"),
        ({"s_update": "fista"}, "s_update is 'fista'"),
    ],
)
def test_bad_settings(training_set, setting, message):
    with pytest.raises(ValueError, match=message):
        train(training_set, **setting)


def test_leaves_global_state_alone(training_set):
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    with warnings.catch_warnings():
        before = list(warnings.filters)
        train(training_set, **QUICK)
        assert warnings.filters == before
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() == dtype
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
