"""What experiments share: the data, the options of a run, and the directory that keeps what is done already."""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.table import Table

from .._files import complete_or_nothing
from ..model import Model
from ..training import TrainingSet, train
from .mixtures import REALISTIC_TRAINING_SETTINGS, RealisticMixtures, make_realistic_training_set, read_maps
from .protocol import TRAINING_SETTINGS, perturb_spectra, read_protocol, read_spectra

__all__ = ["Workspace"]

_CONTENT = "astro_lpalm reproduce"
_QUICK_EPOCHS = 2
_QUICK_SAMPLES = 4
_N_COPIES = 8
_DEFAULTS = {"s_update": "lista-cp", "a_update": "ista-ll", "n_layers": 25, "loss": "log"}


class Workspace:
    """The data and options of a run, and a directory where models and figures are kept as soon as they are there.

    Parameters
    ----------
    data : str or `os.PathLike`
        Directory with the authors' two files; see `read_spectra` and `read_maps`.
    output : str or `os.PathLike`
        Directory for models and results; it is made where it does not exist. What an earlier run with the same
        options left there is not computed again.
    quick : bool
        Whether a few epochs and samples are enough, to see that all works; figures are then not worth much.
    seed : int
        Of data, trainings and solvers.
    n_samples : int, optional
        How many samples each row is measured on, evenly spread over those there are. By default as many as the paper
        has, fewer where a sample takes long.
    epochs : int, optional
        Of each training, in the place of the number that did best on validation samples.
    progress : bool
        Whether to show progress on a terminal.

    Raises
    ------
    ValueError
        If ``n_samples`` or ``epochs`` is less than 1.

    Examples
    --------
    >>> from astro_lpalm.reproduce import Workspace
    >>> workspace = Workspace("data", "output", n_samples=20, seed=1)
    >>> workspace.output.name, workspace.quick
    ('output', False)
    """

    def __init__(self, data, output, *, quick=False, seed=0, n_samples=None, epochs=None, progress=True):
        for name, value in (("n_samples", n_samples), ("epochs", epochs)):
            if value is not None and value < 1:
                msg = f"{name} is {value}, but must be at least 1."
                raise ValueError(msg)
        self.data, self.output = Path(data), Path(output)
        self.quick, self.seed, self.progress = bool(quick), int(seed), progress
        self.epochs = _QUICK_EPOCHS if quick and epochs is None else epochs
        self._n_samples = _QUICK_SAMPLES if quick and n_samples is None else n_samples
        self._made = {}

    @cached_property
    def spectra(self):
        """Mixing matrices (N, m, n), and indices of those that train and those that test."""
        return read_spectra(self.data)

    @cached_property
    def maps(self):
        """Maps of the components, (n, ny, nx)."""
        return read_maps(self.data)

    @cached_property
    def protocol(self):
        """Training and test data of section 3.1."""
        return read_protocol(self.data, seed=self.seed)

    def mixtures(self, shuffled):
        """Test mixtures of section 3.2."""
        spectra, _, test = self.spectra
        return RealisticMixtures(self.maps, spectra[test], shuffled=shuffled, seed=self.seed)

    @cached_property
    def identity(self):
        """What every result depends on, as plain values."""
        digest = hashlib.sha256()
        for array in (self.spectra[0], self.maps):
            digest.update(np.ascontiguousarray(array, dtype="<f8"))
        return {"data": digest.hexdigest()[:16], "seed": self.seed, "quick": self.quick, "epochs": self.epochs}

    def n_samples(self, available, default):
        """How many of the available samples a row takes that by default takes so many."""
        return min(available, self._n_samples or default)

    def samples(self, make):
        """Return the sequence of samples that this function makes of a workspace, the same one each time."""
        return self.once(make, lambda: make(self))

    def once(self, key, make):
        """Return what this function makes, and again the next time."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    # Models ----------------------------------------------------------------------------------------------------------

    def training_settings(self, training="synthetic", known_snr_db=None, perturbation=None, **settings):
        """All that decides a model; see `model`."""
        usual = REALISTIC_TRAINING_SETTINGS if training == "realistic" else TRAINING_SETTINGS
        settings = _DEFAULTS | usual | settings | {"seed": self.seed}
        if self.epochs is not None:
            settings["epochs"] = self.epochs
        made = {"training": training, "known_snr_db": known_snr_db, "data": self.identity["data"]}
        if known_snr_db is not None:
            made["n_copies"] = 1 if self.quick else _N_COPIES
        if perturbation is not None:
            made["perturbation"] = perturbation
        return made | settings

    def model(self, **settings):
        """Train a model, or read the one that was trained with the same settings.

        Parameters
        ----------
        training : {"synthetic", "realistic"}
            The training set: of section 3.1 or 3.2.
        known_snr_db : float, optional
            The signal-to-noise ratio of the spectra that a network which needs them is given in training. Each example
            then comes several times, with noise of its own each time: with fewer, a network learns the noise.
        perturbation : float, optional
            The largest standard deviation of Gaussian perturbations of the mean spectra, which then train in the place
            of the spectra of section 3.1; see ``perturb_spectra``.
        **settings
            Of `~astro_lpalm.training.train`, in the place of those that did best on validation samples.

        Returns
        -------
        `~astro_lpalm.model.Model`
        """
        settings = self.training_settings(**settings)
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        name = "{training}-{s_update}-{a_update}-{n_layers}-{loss}-".format_map(settings) + digest
        return self.once(name, lambda: self._train_or_read(self._folder("models") / f"{name}.fits", settings))

    def _train_or_read(self, path, settings):
        if path.exists():
            return Model.read(path)
        settings = dict(settings)
        made_by = ("training", "known_snr_db", "n_copies", "perturbation")
        training_set = self._training_set(**{key: settings.pop(key) for key in made_by if key in settings})
        del settings["data"]
        checkpoint = path.with_name(f"{path.stem}.checkpoint.fits")
        model = train(training_set, **settings, checkpoint=checkpoint, progress=self.progress)
        model.name = path.stem
        model.write(path, overwrite=True)
        checkpoint.unlink(missing_ok=True)
        return model

    def _training_set(self, training, known_snr_db, n_copies=1, perturbation=None):
        made = self._realistic_training_set if training == "realistic" else self.protocol.training
        if perturbation is not None:
            made = perturb_spectra(made, perturbation, self.seed)
        if known_snr_db is None:
            return made
        X, A, S = (np.tile(array, (n_copies, 1, 1)) for array in (made.X, made.A, made.S))
        return TrainingSet.from_arrays(X, disturb(A, known_snr_db, [self.seed, 1]), S)

    @cached_property
    def _realistic_training_set(self):
        return make_realistic_training_set(self.data, seed=self.seed)

    # Tables ----------------------------------------------------------------------------------------------------------

    def table_path(self, *names):
        """Where a table with this name, or of this row of an experiment, is kept."""
        folder = self._folder("rows", names[0]) if len(names) > 1 else self._folder()
        return folder / f"{names[-1]}.ecsv"

    def read_table(self, path, identity):
        """Read a table that `write_table` wrote, if it is there, and was made with the same settings.

        Raises
        ------
        ValueError
            If it was made with others, or is no such table.
        """
        if not path.exists():
            return None
        try:
            table = Table.read(path, format="ascii.ecsv")
            content, stored = table.meta.pop("content", None), table.meta.pop("settings", {})
        except Exception as error:  # astropy and its YAML reader have kinds of their own
            reason = " ".join(str(error).split())
            msg = f"cannot read '{path}' ({reason}); remove it, or choose another output directory."
            raise ValueError(msg) from error
        if content != _CONTENT:
            msg = f"'{path}' was not written by astro-lpalm reproduce; move it, or choose another output directory."
            raise ValueError(msg)
        identity = self._plain(identity)
        changed = [key for key in sorted(stored | identity) if stored.get(key) != identity.get(key)]
        if changed:
            was = ", ".join(f"{key} {stored.get(key)} (now {identity.get(key)})" for key in changed)
            msg = f"'{path}' is of a run with other settings, {was}; choose another output directory, or remove it."
            raise ValueError(msg)
        return table

    def write_table(self, table, path, identity):
        """Write a table with the settings that it was made with."""
        table = table.copy()
        table.meta |= {"content": _CONTENT, "settings": self._plain(identity)}
        with complete_or_nothing(path, overwrite=True) as temporary:
            table.write(temporary, format="ascii.ecsv", overwrite=True)

    def _plain(self, identity):
        # as it comes back from a file: lists for tuples
        return json.loads(json.dumps(self.identity | identity))

    def _folder(self, *names):
        if self.output.exists() and not self.output.is_dir():
            msg = f"'{self.output}' is a file; give the name of a directory for results."
            raise NotADirectoryError(msg)
        folder = self.output.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def disturb(spectra, snr_db, seed):
    """Add white noise to mixing matrices, (..., m, n), of exactly this signal-to-noise ratio each."""
    noise = np.random.default_rng(seed).standard_normal(spectra.shape)
    ratio = np.linalg.norm(spectra, axis=(-2, -1), keepdims=True) / np.linalg.norm(noise, axis=(-2, -1), keepdims=True)
    return spectra + 10 ** (-snr_db / 20) * ratio * noise
