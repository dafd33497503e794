import warnings

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm.reproduce import EXPERIMENTS, Workspace
from astro_lpalm.reproduce.common import BLIND, realistic_errors
from astro_lpalm.reproduce.experiment import errors
from astro_lpalm.reproduce.fig2 import FixedPALM, TunedPALM
from astro_lpalm.reproduce.methods import MeanSpectra, Network, Oracle, given_spectra
from astro_lpalm.reproduce.samples import (
    fixed_samples,
    one_sample_many_starts,
    real_samples,
    shuffled_samples,
    spread_indices,
    tuning_samples,
)
from astro_lpalm.reproduce.samples import test_samples as hard_samples
from astro_lpalm.reproduce.table2 import FirstSpectra, Fitted, LISTAThenSpectra, fit_spectra
from astro_lpalm.reproduce.workspace import disturb
from astro_lpalm.separation import Factorization, UnrolledPALM, nmse
from astro_lpalm.transforms import Starlet


@pytest.fixture(scope="module")
def workspace(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("astro_lpalm.reproduce.protocol._N_PIXELS", 100)
        made = Workspace(data, tmp_path_factory.mktemp("output"), quick=True, progress=False)
        assert made.protocol.X.shape == (7, 24, 100)
        yield made


def test_errors_see_order_and_norm():
    rng = np.random.default_rng(3)
    A, S = rng.random((6, 2)), rng.random((2, 9))
    A /= np.linalg.norm(A, axis=0)

    class sample:
        pass

    sample.A, sample.S = A, S
    figures = errors(Factorization(2 * A[:, ::-1], S[::-1] / 2, 7), sample)
    assert figures["nmse_a_aligned"] < 1e-25
    assert figures["nmse_a"] == nmse(2 * A[:, ::-1], A) > 0.5
    assert figures["nmse_s"] > 0.1
    assert figures["n_iter"] == 7


def test_spread_indices():
    np.testing.assert_array_equal(spread_indices(150, 150), np.arange(150))
    np.testing.assert_array_equal(spread_indices(9, 3), [0, 4, 8])
    np.testing.assert_array_equal(spread_indices(9, 1), [0])


def test_samples_are_what_they_say(workspace):
    spectra, training, test = workspace.spectra
    assert (len(training), len(test)) == (35, 7)
    samples = hard_samples(workspace)
    assert len(samples) == 7
    np.testing.assert_array_equal(samples[-1].A, spectra[test[-1]])
    assert samples[2].X.shape == (24, 100)
    tuning = tuning_samples(workspace)
    assert len(tuning) == 35  # 45 of the real ones
    known = {row.astype(np.float32).tobytes() for row in spectra[training]}
    for sample in (samples[1], tuning[4]):
        assert sample.start.astype(np.float32).tobytes() in known
        # never the spectra that are looked for
        assert nmse(sample.start, sample.A) > 1e-6
    starts = one_sample_many_starts(workspace)
    assert len(starts) == 15
    assert starts[0].X is starts[9].X
    assert nmse(starts[0].start, starts[9].start) > 0
    real, shuffled = real_samples(workspace), shuffled_samples(workspace)
    assert len(real) == len(shuffled) == 7
    sample = real[3]
    details, coarse = Starlet(1).forward(sample.images.reshape(4, 32, 32))
    np.testing.assert_allclose(sample.S, details[0].reshape(4, -1), atol=1e-12)
    np.testing.assert_allclose(sample.X + sample.coarse, sample.cube, atol=1e-5)
    noise = sample.cube - sample.A @ sample.images
    assert 20 * np.log10(np.linalg.norm(sample.cube) / np.linalg.norm(noise)) == pytest.approx(30, abs=0.1)
    assert real[3] is sample  # made once, while it is looked at
    assert nmse(shuffled[3].images, sample.images) > 0.01


def test_noise_on_spectra_has_the_ratio_asked_for(workspace):
    A = workspace.spectra[0]
    noise = disturb(A, 10.0, 3) - A
    ratio = np.linalg.norm(A, axis=(1, 2)) / np.linalg.norm(noise, axis=(1, 2))
    np.testing.assert_allclose(20 * np.log10(ratio), 10.0)
    sample = hard_samples(workspace)[1]
    assert given_spectra(workspace, sample, None) is sample.A
    noisy = given_spectra(workspace, sample, 10.0)
    assert nmse(noisy, sample.A) == pytest.approx(0.1)
    np.testing.assert_array_equal(noisy, given_spectra(workspace, sample, 10.0))


def test_only_known_spectra_are_disturbed_in_training(workspace):
    plain, noisy = (workspace._training_set("synthetic", snr_db, n) for snr_db, n in ((None, 1), (10.0, 3)))
    assert (len(plain), len(noisy)) == (35, 105)
    np.testing.assert_array_equal(noisy.X[35:70], plain.X)
    np.testing.assert_array_equal(noisy.S[70:], plain.S)
    np.testing.assert_allclose(nmse(noisy.A[:35], plain.A), 0.1, rtol=1e-5)
    assert nmse(noisy.A[0][np.newaxis], noisy.A[35][np.newaxis])[0] > 0.1  # each copy with noise of its own


def test_perturbed_spectra(workspace):
    plain = workspace.protocol.training
    mean, small, large = (workspace._training_set("synthetic", None, perturbation=x) for x in (0.0, 0.01, 0.1))
    expected = plain.A.astype(float).mean(axis=0)
    expected /= np.linalg.norm(expected, axis=0)
    np.testing.assert_allclose(mean.A, np.broadcast_to(expected, plain.A.shape), atol=1e-6)
    deviations = np.array([np.std(made.A - mean.A, axis=(1, 2)) for made in (small, large)])
    assert np.all(deviations.max(axis=1) < [0.011, 0.11])
    assert np.all(deviations.min(axis=1) < [0.002, 0.02])
    assert np.all(deviations.max(axis=1) > [0.007, 0.07])
    for made in (mean, small, large):
        np.testing.assert_array_equal(made.S, plain.S)
        np.testing.assert_allclose(np.linalg.norm(made.A, axis=1), 1.0, rtol=1e-5)
        noise = made.X - made.A @ made.S
        ratio = np.linalg.norm(made.A @ made.S, axis=(1, 2)) / np.linalg.norm(noise, axis=(1, 2))
        np.testing.assert_allclose(20 * np.log10(ratio), 30.0, atol=0.1)


def test_fixed_spectra_are_the_mean_of_those_that_train(workspace):
    first, last = (fixed_samples(workspace)[i] for i in (0, -1))
    trained = workspace._training_set("synthetic", None, perturbation=0.0)
    np.testing.assert_array_equal(first.A, last.A)
    np.testing.assert_allclose(trained.A[3], first.A, atol=1e-6)
    np.testing.assert_array_equal(last.S, workspace.protocol.S[-1])
    assert nmse(first.A @ first.S, first.X) == pytest.approx(1e-3, rel=0.05)


def blinded(sample):
    """The same observation with another truth: what a method that looks at it could not keep up with."""
    rng = np.random.default_rng(5)
    return type(sample)(**vars(sample) | {"S": rng.normal(size=sample.S.shape), "A": sample.A + 1e-9})


@pytest.mark.parametrize("method", [FixedPALM(2e-3), MeanSpectra(), *(row.method for row in BLIND)])
def test_solvers_do_not_see_the_truth(workspace, method):
    separate, _ = method.prepare(workspace)
    sample = hard_samples(workspace)[1]
    found, again = separate(sample), separate(blinded(sample))
    np.testing.assert_allclose(found.spectra, again.spectra, atol=1e-6)
    np.testing.assert_allclose(found.sources, again.sources, atol=1e-5)


def test_oracle(workspace):
    separate, _ = Oracle().prepare(workspace)
    sample = real_samples(workspace)[0]
    clean = type(sample)(**vars(sample) | {"X": sample.A @ sample.S, "coarse": sample.A @ (sample.images - sample.S)})
    figures = realistic_errors(separate(clean), clean)
    assert max(figures[name] for name in ("nmse_s", "nmse_a", "nmse_image")) < 1e-20
    figures = realistic_errors(separate(sample), sample)
    # With noise both are off, and the whole images less than their details, which hold most of the noise.
    assert 0 < figures["nmse_image"] < figures["nmse_s"] < 0.05
    assert 0 < figures["nmse_a"] < 1e-2


def test_lista_is_followed_by_projected_gradient(workspace):
    rng = np.random.default_rng(0)
    A, S = np.abs(rng.normal(size=(9, 3))), rng.normal(size=(3, 200))
    A /= 1.1 * np.linalg.norm(A, axis=0)
    X = A @ S + 0.01 * rng.normal(size=(9, 200))
    free = X @ S.T @ np.linalg.inv(S @ S.T)
    assert np.linalg.norm(free, axis=0).max() < 1
    spectra, n_iter = fit_spectra(X, S)
    np.testing.assert_allclose(spectra, free, atol=1e-5)
    assert 2 < n_iter < 1000
    spectra, _ = fit_spectra(3 * X, S)  # whose best spectra have norms above 1
    np.testing.assert_allclose(np.linalg.norm(spectra, axis=0), 1, atol=1e-9)


def test_fitted_networks(workspace, monkeypatch):
    fits = []

    class Solver:
        """Gives back what it was fitted to, worse the further its choice is from 1."""

        def __init__(self, n_components, *, seed, penalty, epochs, progress):
            self.penalty, self.n = penalty, n_components
            assert epochs == 5  # quick
            assert not progress

        def fit(self, X):
            fits.append((self.penalty, X))
            return self

        def separate(self, X):
            if fits[-1][1] is not X and self.penalty == 1:
                fits.append((self.penalty, X))
            A = np.eye(24)[:, : self.n] * 0.0 + truth[0].A * (1 + abs(self.penalty - 1) * np.arange(24)[:, None])
            return Factorization(A, np.ones((self.n, X.shape[1])))

    truth = workspace.samples(shuffled_samples)
    first = truth[0]
    choices = ({"penalty": 0.0}, {"penalty": 1.0}, {"penalty": 2.0})
    separate, notes = Fitted(Solver, choices=choices).prepare(workspace)
    assert notes == {"penalty": 1.0}
    assert [penalty for penalty, _ in fits[:3]] == [0.0, 1.0, 2.0]
    found = separate(first)
    np.testing.assert_allclose(found.spectra, first.A, rtol=1e-6)
    np.testing.assert_allclose(found.sources, np.linalg.pinv(first.A) @ first.X, atol=1e-5)
    n_fits = len(fits)
    Fitted(Solver, choices=choices, refit=True).prepare(workspace)
    assert len(fits) == n_fits  # the choice is made once
    Fitted(type("Other", (Solver,), {}), choices=choices[1:2], refit=True).prepare(workspace)
    assert len(fits) == n_fits  # nothing to choose


def test_tuned_palm_takes_the_best_threshold(workspace, monkeypatch):
    monkeypatch.setattr("astro_lpalm.reproduce.fig2._MAX_ITER", 100)
    table, _ = EXPERIMENTS["fig2"].compute(workspace)
    _, notes = TunedPALM().prepare(workspace)
    rows = table[table["kind"] == "paper"]
    assert notes["threshold"] == rows["threshold"][np.argmin(rows["nmse_s_median"])]
    every = [row.labels["threshold"] for row in EXPERIMENTS["fig2"].rows if "threshold" in row.labels]
    assert len(every) == 30
    assert 2e-3 in every
    np.testing.assert_allclose(np.diff(np.log10(every)), 0.1, atol=2e-3)


def test_networks_are_what_their_row_says(workspace):
    shapes = {
        (experiment.name, row.name): workspace.training_settings(**row.method.options)
        for experiment in EXPERIMENTS.values()
        for row in experiment.rows
        if isinstance(row.method, Network)
    }
    assert {shapes["table3", name]["s_update"] for name in ("ISTA-LLT, ISTA-LL", "ISTA-LLT, explicit")} == {"ista-llt"}
    assert (
        shapes["table1", "LPALM"] == shapes["table3", "LISTA-CP, ISTA-LL (LPALM)"] == shapes["fig10", "LPALM, K = 25"]
    )
    assert shapes["fig10", "LPALM, K = 50"]["n_layers"] == 50
    assert shapes["table4", "sources + spectra"]["loss"] == "sources+spectra"
    assert shapes["fig8", "LISTA-CP, 10 dB"]["known_snr_db"] == 10.0
    assert shapes["fig8", "LISTA"]["a_update"] == "known"
    assert shapes["partial", "LPALM"]["training"] == shapes["table2", "LPALM, others"]["training"] == "realistic"


def test_a_network_that_leaves_the_library_is_no_warning(workspace, monkeypatch):
    def warn(*args, **kwargs):
        warnings.warn("refinement took component 1 (9 sigma) out of", AstropyUserWarning, stacklevel=2)

    model = workspace.model(n_layers=2)
    monkeypatch.setattr(type(model), "separate", warn)
    separate, notes = Network({"n_layers": 2}, refined=True).prepare(workspace)
    assert separate(hard_samples(workspace)[0]) is None
    assert notes["training_seconds"] > 0
    assert notes["validation_nmse_s"] == min(model.history, key=lambda row: row["validation_loss"])["nmse_s"]


def test_lista_gives_spectra_that_fit_its_sources(workspace, monkeypatch):
    sources = np.random.default_rng(2).normal(size=(4, 1024))
    monkeypatch.setattr(UnrolledPALM, "separate", lambda self, X, spectra: Factorization(spectra, sources))
    separate, _ = LISTAThenSpectra().prepare(workspace)
    sample = shuffled_samples(workspace)[1]
    found = separate(sample)
    np.testing.assert_array_equal(found.spectra, fit_spectra(sample.X, sources)[0])
    assert found.sources is sources


def test_spectra_of_the_first_image_are_what_others_have_to_beat(workspace):
    separate, _ = FirstSpectra().prepare(workspace)
    samples = shuffled_samples(workspace)
    np.testing.assert_array_equal(separate(samples[1]).spectra, samples[0].A)
    assert nmse(samples[0].A, samples[1].A) > 0
