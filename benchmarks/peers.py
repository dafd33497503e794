"""Methods for compare.py, each run by its own public code, in a process of its own.

    python benchmarks/peers.py METHOD SKY.npz ANSWER.npz [--paths JSON]

A method takes a `Problem` and gives an `Answer`. What it does before it sees the counts (importing, training,
tabulating spectra) is told apart from what it does with them. Nothing of other programs is kept here: scikit-learn,
hyperspy and espm are installed by pip, and checkouts of github.com/jbobin/pyGMCALab, github.com/RCarloniGertosio/sGMCA
and github.com/JMLascar/SUSHI are named in JSON, an object of "pyGMCALab", "sGMCA" and "SUSHI"; "trained" is a folder
for what sGMCA has learned, and "iterations" how many SUSHI has.
"""

import argparse
import contextlib
import io
import json
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

#: What each method is told of the spectra; "nothing" are the blind ones.
KNOWS = {
    "true spectra": "all",
    "astro_lpalm": "packaged model",
    "astro_lpalm, smooth": "packaged model",
    "astro_lpalm, maps": "packaged model",
    "scikit-learn NMF": "nothing",
    "hyperspy NMF": "nothing",
    "espm": "nothing",
    "espm, library": "draws of each component",
    "GMCA": "nothing",
    "AMCA": "nothing",
    "sGMCA": "draws of each component",
    "SUSHI": "all but kT, velocity, index",
    "SUSHI, own steps": "all but kT, velocity, index",
}
UNORDERED = [name for name, known in KNOWS.items() if known == "nothing"] + ["sGMCA"]  # which component is which
N_DRAWS = 100  # of each component, that espm is given
N_SCALES = 2  # of starlets: the default of sGMCA and SUSHI


@dataclass
class Problem:
    """What a method is given.

    Attributes
    ----------
    counts : `~numpy.ndarray`, shape (m, side, side)
    energy_edges : `~numpy.ndarray`, shape (m + 1,)
        In keV.
    names : tuple of str
        Of the n components. Blind methods only count them.
    world : str
        Of skies.py.
    known : dict
        True parameters of the components, of which a method takes what `KNOWS` says.
    spectra : `~numpy.ndarray`, shape (m, n)
        The true ones, for the same.
    paths : dict of str to str
    """

    counts: np.ndarray
    energy_edges: np.ndarray
    names: tuple
    world: str
    known: dict
    spectra: np.ndarray
    paths: dict

    @property
    def matrix(self):
        """Counts, (m, t)."""
        return self.counts.reshape(len(self.counts), -1).astype(float)

    def library(self):
        """Make the library of the components' spectra."""
        import sushi

        from astro_lpalm.spectra import SpectralLibrary

        if self.world == "toy":
            return sushi.components(sushi.RANGES, sushi.KNOWN)
        return SpectralLibrary.from_file("snr-acis")


@dataclass
class Answer:
    """What a method finds: spectra (m, n) and images (n, t) whose product is in counts, and maps by name.

    The way there, of methods that are slow: iterations and their costs (k,), spectra (k, m, n) and images (k, n, t).
    """

    spectra: np.ndarray
    images: np.ndarray
    maps: dict = field(default_factory=dict)
    way: dict = field(default_factory=dict)


def true_spectra(problem):
    """Take the true spectra, which no method can know, and least squares."""
    from astro_lpalm.forward import demixing_matrix

    def solve():
        X = problem.matrix
        return Answer(problem.spectra, demixing_matrix(problem.spectra, np.maximum(X.sum(axis=1), 1.0)) @ X)

    return solve


def lpalm(problem, *, smooth=False, maps=False):
    """Separate by the packaged model; the toy by what is known of it, and with maps."""
    import sushi
    from remnants import cube_of

    from astro_lpalm import load_model, separate

    model, library = load_model("snr-acis"), problem.library()

    def solve():
        cube = cube_of(problem.counts, library.energy_edges)
        if problem.world == "toy":
            result, *_ = sushi.ours(cube, library)
        else:
            result = separate(cube, model, smooth=smooth, maps=maps, progress=False)
        images = result.smooth_images if smooth else result.images
        spectra = np.stack([result.spectra[name].value for name in problem.names], axis=1)
        found = {}
        if result.parameter_maps:
            for name, (k, *_) in sushi.MAPS.items():
                made = result.parameter_maps.get(sushi.NAMES[k], {})
                found |= {name: made[name].data} if name in made else {}
        return Answer(_unit(spectra), np.stack([images[name].data.ravel() for name in problem.names]), found)

    return solve


def scikit_learn(problem):
    """NMF of Kullback-Leibler: its user guide has it with ``mu``, which cannot leave zeros, hence nndsvda."""
    from sklearn.decomposition import NMF

    def solve():
        nmf = NMF(
            len(problem.names), init="nndsvda", solver="mu", beta_loss="kullback-leibler", max_iter=3000, tol=1e-6
        )
        images = nmf.fit_transform(problem.matrix.T).T
        return Answer(nmf.components_.T, images)

    return solve


def hyperspy(problem):
    """NMF of data scaled for Poisson noise, as its user guide has it."""
    import hyperspy.api as hs

    def solve():
        signal = hs.signals.Signal1D(np.moveaxis(problem.counts, 0, -1).astype(float))
        signal.decomposition(
            normalize_poissonian_noise=True, algorithm="NMF", output_dimension=len(problem.names), max_iter=3000,
            navigation_mask=problem.counts.sum(axis=0) == 0,  # whose noise cannot be scaled
        )  # fmt: skip
        spectra, images = signal.get_decomposition_factors().data, signal.get_decomposition_loadings().data
        return Answer(spectra.T, np.nan_to_num(images.reshape(len(images), -1)))

    return solve


def espm(problem, *, guided=False):
    """Poisson NMF with sparse images: weights, normalization and start as in its notebook toy-ML.

    That also has smooth images, which were worse here. "Guided": each component is a sum of draws from its library, as
    it is a sum of tabulated lines in other notebooks.
    """
    from espm.estimators import SmoothNMF

    n, shape = len(problem.names), problem.counts.shape[1:]
    settings, start = {"normalize": True, "mu": 0.05}, {}
    if guided:
        draws = problem.library().draw(N_DRAWS, seed=1)  # (N, m, n)
        draws = draws / draws.sum(axis=1, keepdims=True)
        own = np.repeat(np.eye(n), N_DRAWS, axis=0)
        G = np.maximum(np.concatenate(np.moveaxis(draws, -1, 0)).T, 1e-12)
        settings = {"G": G, "fixed_W": np.where(own > 0, -1.0, 0.0)}
        brightness = np.maximum(problem.matrix.sum(axis=0), 0.1) / n
        start = {"W": own / N_DRAWS, "H": np.tile(brightness, (n, 1))}

    def solve():
        method = SmoothNMF(
            n_components=n, shape_2d=shape, tol=1e-7, max_iter=1000, verbose=0, random_state=0, **settings
        )
        return Answer(method.fit_transform(problem.matrix, **start), method.H_)

    return solve


def gmca(problem, *, name="gmca", settings=None):
    """GMCA or AMCA of pyGMCALab, given starlet details, as it wants data that are sparse."""
    from classical import pygmcalab

    from astro_lpalm.transforms import Starlet

    method = pygmcalab(_path(problem, "pyGMCALab"), name)
    transform = Starlet(N_SCALES)

    def solve():
        details, _ = transform.forward(problem.counts.astype(float))
        X = np.concatenate([each.reshape(len(problem.counts), -1) for each in details], axis=1)
        np.random.seed(0)  # noqa: NPY002  # its own
        found = method(X, len(problem.names), **(settings or {}))
        spectra = np.real(found["mixmat"])
        images = np.linalg.pinv(spectra) @ problem.matrix
        return Answer(spectra, images)

    return solve


def sgmca(problem):
    """GMCA whose spectra are drawn to what autoencoders have learned of each component (sgmca_models.py)."""
    import sgmca_models

    program = sgmca_models.load(_path(problem, "sGMCA"))
    models = sgmca_models.trained(program, problem, Path(_path(problem, "trained")))

    def solve():
        spectra, images = program.sgmca(X=problem.matrix, n=len(problem.names), models=models, nscales=N_SCALES)
        return Answer(np.asarray(spectra), np.asarray(images))

    return solve


def sushi_program(problem, *, own_steps=False):
    """SUSHI with exact spectra in place of its networks, steps and regularization of its tutorial (sushi.py).

    "Own steps": those of amplitudes are 0.03 times the inverse Hessian's diagonal, such as its documentation recommends
    for other costs, with each pixel's counts and the mean spectrum, where that is longer than its step of 1; those of
    parameters are 20 times as long as it makes them where none are given; and there is a quarter of the iterations.
    """
    import sushi

    from astro_lpalm.spectra import ParametricSpectra

    toy = problem.world == "toy"
    if toy:
        library, maps = sushi.components(sushi.WIDER, sushi.KNOWN), sushi.MAPS
    else:
        library, maps = _known_remnant(problem.known)
    program = sushi.Sushi(Path(_path(problem, "SUSHI")), ParametricSpectra.from_library(library), maps)

    def solve():
        way = {name: [] for name in ("iterations", "seconds", "cost", "spectra", "images")}
        last = {}

        def keep(images, maps, n, seconds):
            last.update(maps)
            images = images.reshape(len(problem.names), -1)
            for name, value in zip(way, (n, seconds, program.cost[-1], _unit(program.spectra), images)):
                way[name].append(value)

        X, n, step, amplitude_step = problem.matrix, int(problem.paths["iterations"]), 1e-5 if toy else 0.0, 1
        if own_steps:
            n, step = 1 + (n - 1) // 4, 2 / X.sum(axis=0).max()
            first = [np.asarray(each["model"](np.array([each["first_param"]], float)))[0] for each in program.models]
            share = np.maximum(X.sum(axis=1) / X.sum(), 1e-6)
            hessian = (np.array(first) ** 2 / share).sum(axis=1)[:, np.newaxis] / np.maximum(X.sum(axis=0), 1.0)
            amplitude_step = np.maximum(0.03 / hessian, 1)
        program.run(problem.counts.astype(float), n, step, keep, amplitude_step)
        found = {name: last[name if toy else f"{sushi.NAMES[k]}_{name}"] for name, (k, *_) in sushi.MAPS.items()}
        return Answer(way["spectra"][-1], way["images"][-1], found, way)

    return solve


METHODS = {
    "true spectra": true_spectra,
    "astro_lpalm": lpalm,
    "astro_lpalm, smooth": lambda problem: lpalm(problem, smooth=True),
    "astro_lpalm, maps": lambda problem: lpalm(problem, smooth=True, maps=True),
    "scikit-learn NMF": scikit_learn,
    "hyperspy NMF": hyperspy,
    "espm": espm,
    "espm, library": lambda problem: espm(problem, guided=True),
    "GMCA": gmca,
    "AMCA": lambda problem: gmca(problem, name="amca"),
    "sGMCA": sgmca,
    "SUSHI": sushi_program,
    "SUSHI, own steps": lambda problem: sushi_program(problem, own_steps=True),
}


def _known_remnant(known):
    """Make the library of a remnant of which only temperature, velocities and photon index are free, and these."""
    import sushi

    from astro_lpalm.spectra import SpectralLibrary

    spans = {  # of snr-acis
        ("synchrotron", "photon_index"): (2.0, 3.2),
        ("thermal", "kT"): (0.8, 3.0),
        ("thermal", "velocity"): (-2000.0, 2000.0),
        ("iron_red", "velocity"): (2000.0, 6000.0),
        ("iron_blue", "velocity"): (-6000.0, -2000.0),
    }
    models = {"synchrotron": "Synchrotron", "thermal": "Thermal"}
    maps, text = {}, f'[response]\ninstrument = "acis-s"\n[absorption]\nnh = {known["nh"]}\n'
    for k, name in enumerate(("synchrotron", "thermal", "iron_red", "iron_blue")):
        text += (
            f'[[components]]\nname = "{name}"\nmodel = "{models.get(name, "EmissionLine")}"\n[components.parameters]\n'
        )
        for key, value in known[name].items():
            span = spans.get((name, key))
            if span:
                low, high = span
                more = 0.25 * (high - low)
                maps[f"{name}_{key}"] = sushi.Map(k, key, span, (low - more, high + more), 0.0)
                value = list(maps[f"{name}_{key}"].wider)
            text += f"{key} = {value}\n"
    return SpectralLibrary.from_text("[energy]\nrange = [0.5, 7.0]\nn_bins = 65\n" + text), maps


def _unit(spectra):
    return spectra / spectra.sum(axis=0)


def _path(problem, name):
    if name not in problem.paths:
        msg = f"{name} is not at hand: give --{name.lower()} a path."
        raise FileNotFoundError(msg)
    return problem.paths[name]


def _peak():
    """Give the most memory that this process had, in MiB (what getrusage tells includes that of its parent)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main():
    """Run one method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=list(METHODS))
    parser.add_argument("sky", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--paths", type=json.loads, default={})
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with np.load(options.sky) as sky:
        problem = Problem(
            sky["counts"], sky["energy_edges"], tuple(sky["names"].tolist()), str(sky["world"]),
            json.loads(str(sky["known"])), sky["spectra"], options.paths,
        )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.process_time()
        solve = METHODS[options.method](problem)
        before = time.process_time()
        answer = solve()
        seconds = time.process_time() - before
    np.savez(
        options.answer, spectra=answer.spectra, images=answer.images, seconds=seconds, preparation=before - start,
        memory=_peak(), **{f"map {name}": values for name, values in answer.maps.items()},
        **{f"way {name}": values for name, values in answer.way.items()},
    )  # fmt: skip


if __name__ == "__main__":
    main()
