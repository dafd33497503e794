"""What sGMCA learns of each component for compare.py: interpolatory autoencoders, trained by its own code.

Settings are those of the notebooks in github.com/RCarloniGertosio/sGMCA: about 600 spectra of unit sum, 200 more for
validation, two to four layers one after the other, batches of 100, and 10000 epochs of each (theirs of lines: 100000).
The anchor points are the spectra that are farthest from one another.

A model keeps the step and the tolerance of its training, and the program takes these, 1e-4 and 1e-9, in place of those
that its documentation has for projections, 0.1 and 1e-6: these then take 600 to 1000 steps, the most there are, where
80 to 170 do, and thermal spectra come less far. So models get the documented ones once they are trained.
"""

import importlib
import pickle
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

from astro_lpalm.separation import spectral_angle

#: Kinds of spectra that share a model, and how many anchor points it has.
ANCHORS = {"synchrotron": 3, "thermal": 6, "iron": 3}
N_TRAINING, N_VALIDATION, N_EPOCHS, STEP = 600, 200, 10000, 1e-4


def load(path):
    """Load the program, which was written for NumPy and jax of 2020."""
    import jax.example_libraries.optimizers

    sys.modules["jax.experimental.optimizers"] = jax.example_libraries.optimizers
    mock.patch.object(np, "int", int, create=True).start()
    sys.path.insert(0, path)
    return importlib.import_module("sgmca")


def trained(program, problem, folder):
    """Train the models, or find them in the folder; give how many components each is of, by the names of files."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [name.split("_")[0] for name in problem.names]
    models = {}
    draws = None
    for kind in dict.fromkeys(kinds):
        name = folder / f"{'toy_' if problem.world == 'toy' else ''}{kind}"
        models[str(name)] = kinds.count(kind)
        if name.with_suffix(".txt").exists():  # which is written last
            continue
        if draws is None:
            draws = problem.library().draw(N_TRAINING + N_VALIDATION + 1000, seed=3)
        start = time.process_time()
        _train(program.IAE_JAX, _spectra(draws, kinds, kind), ANCHORS[kind], str(name))
        seconds = time.process_time() - start
        held_out = _spectra(draws, kinds, kind)[-200:]
        angle = _angle(program.IAE_JAX, str(name), held_out)
        name.with_suffix(".txt").write_text(f"{seconds:.0f} s; other spectra projected: {angle:.2f} degrees\n")
    return models


def _spectra(draws, kinds, kind):
    both = np.concatenate([draws[..., k] for k, each in enumerate(kinds) if each == kind])
    return np.random.default_rng(0).permutation(both / both.sum(axis=1, keepdims=True))


def _train(iae, spectra, n_anchors, name):
    anchors = [int(np.argmax(np.linalg.norm(spectra - spectra.mean(axis=0), axis=1)))]
    while len(anchors) < n_anchors:
        distance = np.linalg.norm(spectra[:, np.newaxis] - spectra[anchors], axis=2).min(axis=1)
        anchors.append(int(np.argmax(distance)))
    points, rest = spectra[anchors], np.delete(spectra, anchors, axis=0)
    np.random.seed(0)  # noqa: NPY002  # its own
    for n_layers in (2, 3, 4):  # each begins with the one before
        model = iae.IAE(
            fname=name, Model=None if n_layers == 2 else iae.load_model(name), AnchorPoints=points,
            NSize=np.full(n_layers + 1, spectra.shape[1]), reg_parameter=0.1, step_size=STEP, niter=N_EPOCHS,
        )  # fmt: skip
        model.learning_stage(
            rest[:N_TRAINING], XValidation=rest[N_TRAINING : N_TRAINING + N_VALIDATION], batch_size=100
        )
    model = iae.load_model(name) | {"step_size": 0.1, "eps_cvg": 1e-6}  # of projections
    Path(f"{name}.pkl").write_bytes(pickle.dumps(model))


def _angle(iae, name, spectra):
    """Median angle between spectra and their projections."""
    model = iae.IAE(Model=iae.load_model(name), optim_proj=3)
    projected = np.asarray(model.barycentric_span_projection(spectra, niter=1000)["XRec"])
    return np.rad2deg(np.median(spectral_angle(projected.T, spectra.T)))
