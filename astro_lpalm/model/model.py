"""Model: a trained network and what is known of its components."""

from copy import copy, deepcopy

import numpy as np
import torch

from .._names import check_component_names
from .._notebook import card, sparkline
from ..forward import check_data
from ..grid import describe_grid
from ..separation import Factorization, UnrolledPALM
from ..separation import refine as refine_spectra
from ..spectra import ParametricSpectra, ResponseErrors, SpectralLibrary
from ._file import fingerprint, read_model, write_model

__all__ = ["Model"]

# More pixels than this do not change where the refinement of all of them ends.
_ENOUGH_TO_START = 20_000
_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe & Ito (2008)


class Model:
    """A trained network, the energies and components it was trained for, and what is known of the components.

    Parameters
    ----------
    network : object
        A `~astro_lpalm.separation.UnrolledPALM`, or anything with ``separate(X) -> Factorization`` for X of shape
        (m, t). Where it can, it also has ``separate(X, spectra)`` for known spectra, ``n_energies``, ``measure``
        as that class has it (for `snr_db`), ``state_dict`` (for `checksum`) and ``to`` (for another device).
    component_names : sequence of str
        In the order of the columns of A.
    energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
        Edges of the energy bins, where the training set knew them.
    prior : `~astro_lpalm.spectra.SpectralPrior`, optional
        What is known of each component's spectra, for the refinement.
    physics : `~astro_lpalm.spectra.ParametricSpectra`, optional
        Spectra as functions of the components' physical parameters, for their fit.
    components_file : str
        The text of the components file that it was trained on, to be had for another response (`through`).
    history : list of dict, optional
        A row of figures for each epoch of the training.
    description : dict, optional
        FITS keywords and values that tell how the model was made.
    name : str, optional

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> load_model("snr-acis").component_names
    ('synchrotron', 'thermal', 'iron_red', 'iron_blue')
    """

    def __init__(
        self,
        network,
        *,
        component_names,
        energy_edges=None,
        prior=None,
        physics=None,
        components_file="",
        history=(),
        description=None,
        name="unnamed",
    ):
        if not callable(getattr(network, "separate", None)) or isinstance(network, type):
            msg = f"network is {network!r}, but must be an object with a method separate(X) that gives a Factorization."
            raise TypeError(msg)
        self.network = network
        self.component_names = check_component_names(component_names)
        self.energy_edges = energy_edges
        self.prior = None if prior is None else prior.astype(np.float32)
        self.physics = physics
        self.components_file = components_file
        self.history = list(history)
        self.description = dict(description or {})
        self.name = name

    def __repr__(self):
        parts = [", ".join(self.component_names)]
        if self.energy_edges is not None:
            low, high = self.energy_edges[0], self.energy_edges[-1]
            parts.append(f"{len(self.energy_edges) - 1} energies from {low:g} to {high:g}")
        elif (n_energies := getattr(self.network, "n_energies", None)) is not None:
            parts.append(f"{n_energies} energies")
        if self.physics is not None:
            parts.append(f"{len(self.physics.parameters)} physical parameters")
        parts.append(_described(self.network))
        return f"<Model {self.name!r}: {'; '.join(parts)}>"

    def _repr_html_(self):
        rows = {"components": ", ".join(self.component_names)}
        if self.energy_edges is not None:
            rows["energies"] = describe_grid(self.energy_edges)
        if self.physics is not None:
            rows["physical parameters"] = ", ".join(
                f"{each.component} {each.name}".strip() for each in self.physics.parameters
            )
        rows["network"] = _described(self.network)
        pictures = []
        if self.prior is not None:
            spectra = np.abs(self.prior.mean) / self.prior.mean.max(axis=1, keepdims=True)
            pictures.append((sparkline(spectra, _COLORS * len(spectra)), "mean spectra", "each of its own brightness"))
        if self.history:
            best = min(self.history, key=lambda row: row["validation_loss"])
            rows["trained"] = f"{len(self.history)} epochs, {sum(row['seconds'] for row in self.history):.0f} s"
            rows["validation"] = f"median NMSE of sources {best['nmse_s']:.1e}, of spectra {best['nmse_a']:.1e}"
            errors = [[row[name] for row in self.history] for name in ("nmse_s", "nmse_a")]
            pictures.append((sparkline(errors, _COLORS), "validation errors", "sources (blue), spectra"))
        rows["weights"] = self.checksum
        return card(f"Model {self.name}", rows, pictures)

    @property
    def checksum(self):
        """Sixteen hexadecimal digits that tell one set of weights from another; empty if no ``state_dict`` has them."""
        if not hasattr(self.network, "state_dict"):
            return ""
        return fingerprint(self.network)

    def separate(self, X, spectra=None, *, refine=True, device=None):
        """Separate a matrix.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels.
        spectra : array_like, shape (m, n), optional
            The known spectra, for a network that was trained to need them.
        refine : bool
            Whether the spectra that the network found are refined (`astro_lpalm.separation.refine`). Of many pixels,
            the network then sees 20,000, evenly spread: all have their say in the refinement.
        device : str or `torch.device`, optional
            Where the network runs, by default where it is.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`

        Raises
        ------
        ValueError
            If X does not have the energies of the model, is not finite, or has fewer counts than it takes.
        """
        model = self if device is None else self.to(device)
        if spectra is not None:
            return model.network.separate(X, spectra)
        if not refine:
            return model.network.separate(X)
        X, _ = check_data(X)
        try:
            return refine_spectra(X, model.start(X), self.prior)
        except np.linalg.LinAlgError as error:
            msg = f"there is too little in the data to find {len(self.component_names)} spectra by: a few counts only?"
            raise ValueError(msg) from error

    def start(self, X, *, thinned=True):
        """Find the network's own spectra, which the refinement begins with.

        Parameters
        ----------
        X : array_like, shape (m, t)
        thinned : bool
            Whether, of many pixels, the network sees 20,000 only, evenly spread: all have their say in the refinement.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
        """
        X, _ = check_data(X)
        stride = -(-X.shape[1] // _ENOUGH_TO_START) if thinned else 1
        return self.network.separate(np.ascontiguousarray(X[:, ::stride]))

    def to(self, device):
        """Give the same model with its network on another device; a ValueError if the network cannot move."""
        if not hasattr(self.network, "to"):
            msg = f"the network, of class {_described(self.network)}, has no method to(device); leave the device out."
            raise ValueError(msg)
        twin = copy(self)
        twin.network = deepcopy(self.network).to(device)
        return twin

    def through(self, instrument, energy_edges=None):
        """Give the same components for an instrument, or for other energy bins: what is known of spectra is made anew.

        The network stays where the bins are the same, so that the spectra it starts from are those of the response that
        it was trained for; for other bins there is none, and the start is the mean of what is known. The refinement
        and the fit of the physical parameters have the last word.

        Parameters
        ----------
        instrument : `~astro_lpalm.instrument.Instrument`
            Its response is rebinned, if need be; the errors of it that are known are fitted together with the physical
            parameters. Nothing else of it has a part in spectra.
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
            By default the model's own.

        Returns
        -------
        `Model`

        Raises
        ------
        ValueError
            If the model does not keep its components file, that names other files, or the response does not cover the
            energies; or if it has no physical parameters to fit errors of the response with.
        """
        twin = copy(self)
        if instrument.response is not None or energy_edges is not None:
            if not self.components_file:
                msg = (
                    f"the model {self.name!r} does not keep the components file it was trained on, so it cannot be had "
                    "for another response or other energies; train it with these, and leave them out."
                )
                raise ValueError(msg)
            edges = self.energy_edges if energy_edges is None else energy_edges
            response = instrument.response_on(edges)
            edges = edges if response is None else None
            library = SpectralLibrary.from_text(self.components_file, response=response, energy_edges=edges)
            rank = min(self.prior.spread.shape[1], len(library.energy_edges) - 1)
            twin.energy_edges, twin.prior = library.energy_edges, library.statistics(rank).astype(np.float32)
            twin.physics = ParametricSpectra.from_library(library)
            if energy_edges is not None:
                twin.network = _Untrained(twin.prior)
        if instrument.gain_error or instrument.area_error:
            if twin.physics is None:
                msg = (
                    f"the model {self.name!r} has no physical parameters, so errors of the response cannot be fitted "
                    "together with them; leave gain_error and area_error out."
                )
                raise ValueError(msg)
            gain, area = instrument.gain_error, instrument.area_error
            twin.physics = ResponseErrors(twin.physics, twin.energy_edges, gain=gain, area=area)
        return twin

    @property
    def snr_range(self):
        """Lowest and highest signal-to-noise ratio (dB) that it was trained for, or None."""
        limits = tuple(self.description.get(key) for key in ("SNR_LOW", "SNR_HIGH"))
        return None if None in limits else limits

    def snr_db(self, X):
        """Measure the signal-to-noise ratio of data, which the model was trained for a range of.

        Parameters
        ----------
        X : array_like, shape (m, t)

        Returns
        -------
        float or None
            ``20 log10(||A S|| / ||N||)`` in decibels, N being white noise of the variance that the m - n directions of
            the least power have; from -40 to 160. None if the network has no ``measure``.
        """
        X, _ = check_data(X)
        if not hasattr(self.network, "measure"):
            return None
        scale, noise = (float(each) for each in self.network.measure(torch.from_numpy(X)[None]))
        power = len(X) * noise**2
        return 10.0 * float(np.log10(max(scale**2 / max(power, 1e-16 * scale**2, np.finfo(float).tiny) - 1.0, 1e-4)))

    def write(self, path, *, overwrite=False):
        """Write the model to one FITS file.

        Parameters
        ----------
        path : str or `os.PathLike`
        overwrite : bool

        Raises
        ------
        OSError
            If the file exists and may not be overwritten, or cannot be written.
        ValueError
            If the network is not an `~astro_lpalm.separation.UnrolledPALM` of updates that have names, or spectra of
            ``physics`` are not tabulated: a file has no place for classes, which would have to be unpickled.
        """
        write_model(self, path, overwrite=overwrite)

    @classmethod
    def read(cls, path):
        """Read a model that `write` wrote.

        Parameters
        ----------
        path : str or `os.PathLike`

        Returns
        -------
        `Model`

        Raises
        ------
        OSError
            If the file is not FITS, is damaged or truncated.
        ValueError
            If it is not a model, or one of another version of the format.
        """
        return cls(**read_model(path))


class _Untrained:
    """In place of a network, where none was trained for the energies: the mean of what is known of each component."""

    def __init__(self, prior):
        self.prior = prior

    def separate(self, X):
        A = np.maximum(self.prior.mean.T, 0.0)
        return Factorization(A / np.linalg.norm(A, axis=0), None, 0, True, {})

    def to(self, device):
        """Do as a network does that moves to another device."""
        return self


def _described(network):
    # The settings of ours, the class of any other.
    if type(network) is not UnrolledPALM:
        return type(network).__qualname__
    settings = network.settings.items()
    return ", ".join(
        f"{key}={value.__qualname__ if isinstance(value, type) else repr(value)}" for key, value in settings
    )
