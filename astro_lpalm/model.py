"""What a training leaves behind and a separation needs, and the one FITS file it lives in."""

import hashlib
from copy import copy, deepcopy
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from . import __version__
from ._files import open_fits, write_fits
from ._headers import header_number, header_text
from ._names import check_component_names
from .data import packaged_files
from .forward import check_data
from .grid import ebounds_hdu, read_ebounds
from .separation import UnrolledPALM
from .separation import refine as refine_spectra
from .spectra import SpectralPrior

__all__ = ["Model", "load_model", "packaged_models"]

_FORMAT = 1
# What astropy and torch raise where extensions or weights are missing, or others than expected.
_DAMAGED = (AttributeError, KeyError, RuntimeError, TypeError, ValueError)
_MOST_ENERGIES = 1 << 20  # which no file is believed to go beyond
# More pixels than this do not change where the refinement of all of them ends.
_ENOUGH_TO_START = 20_000


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
        parts.append(_described(self.network))
        return f"<Model {self.name!r}: {'; '.join(parts)}>"

    @property
    def checksum(self):
        """Sixteen hexadecimal digits that tell one set of weights from another; empty if no ``state_dict`` has them."""
        if not hasattr(self.network, "state_dict"):
            return ""
        digest = hashlib.sha256()
        for name, value in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().numpy().astype("<f4").tobytes())
        return digest.hexdigest()[:16]

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
            If the network is not an `~astro_lpalm.separation.UnrolledPALM` of updates that have names: a file has no
            place for classes, which would have to be unpickled.
        """
        self._check_named()
        primary = fits.PrimaryHDU()
        header = primary.header
        header["CONTENT"] = ("astro_lpalm model", "a trained separation network")
        header["MODELVER"] = (_FORMAT, "version of this file format")
        header["MODEL"] = self.name  # without a comment, for which a long name leaves no room
        header["MODELSUM"] = (self.checksum, "fingerprint of the weights")
        header["CREATOR"] = f"astro_lpalm {__version__}"
        header["DATE"] = (Time.now().isot[:19], "UTC of writing")
        header["S_UPDATE"] = (self.network.settings["s_update"], "update of the sources")
        header["A_UPDATE"] = (self.network.settings["a_update"], "update of the spectra")
        header["N_LAYER"] = (self.network.n_layers, "number of layers K")
        header["N_ENERGY"] = (self.network.n_energies, "number of energies m")
        for key, value in self.description.items():
            header[key] = value
        components = Table({"NAME": list(self.component_names)})
        if self.prior is not None:
            for field in fields(SpectralPrior):
                components[field.name.upper()] = getattr(self.prior, field.name)
        hdus = [primary, fits.BinTableHDU(components, name="COMPONENTS")]
        if self.energy_edges is not None:
            hdus.append(ebounds_hdu(self.energy_edges))
        for name, value in self.network.state_dict().items():
            hdu = fits.ImageHDU(np.atleast_1d(value.detach().cpu().numpy()), name=f"WEIGHT_{name}")
            hdu.header["WEIGHT"] = (name, "name of this parameter in the network")
            hdus.append(hdu)
        if self.history:
            hdus.append(fits.BinTableHDU(Table(rows=self.history), name="TRAINING"))
        write_fits(fits.HDUList(hdus), path, overwrite=overwrite)

    def _check_named(self):
        classes = [] if type(self.network) is UnrolledPALM else [type(self.network)]
        if not classes:
            classes = [value for value in self.network.settings.values() if isinstance(value, type)]
        if classes:
            msg = (
                f"the model {self.name!r} cannot be written: a model file keeps the names of a network's updates and "
                f"its weights, but not the class {classes[0].__qualname__}, which would have to be pickled. Keep the "
                "weights in a file of your own, and make the model anew by Model(network, component_names=...)."
            )
            raise ValueError(msg)

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
        with open_fits(path, headers_only=True) as hdulist:
            header = hdulist[0].header
            if header.get("CONTENT") != "astro_lpalm model":
                msg = f"'{path}' is a FITS file but not a model; give a file that 'astro-lpalm train' wrote."
                raise ValueError(msg)
            version = header_number(header, "MODELVER", f"'{path}'")
            if version != _FORMAT:
                msg = (
                    f"'{path}' is a model of format version {header.get('MODELVER')}, but astro_lpalm {__version__} "
                    f"reads version {_FORMAT}; use the astro_lpalm that wrote it ({header.get('CREATOR')}), or train "
                    "anew."
                )
                raise ValueError(msg)
        with open_fits(path, checksum=True) as hdulist:
            try:
                model, stated = cls._from_hdulist(hdulist), header_text(hdulist[0].header, "MODELSUM", f"'{path}'")
            except _DAMAGED as error:
                msg = f"'{path}' is not a complete model: {error}"
                raise ValueError(msg) from error
        if model.checksum != stated:
            msg = (
                f"'{path}': its weights have the fingerprint {model.checksum}, but its header says {stated or 'none'} "
                "(MODELSUM), so they were changed after the training; get a fresh copy, or train anew."
            )
            raise ValueError(msg)
        return model

    @classmethod
    def _from_hdulist(cls, hdulist):
        header = hdulist[0].header
        components = hdulist["COMPONENTS"].data
        names = [str(name).strip() for name in components["NAME"]]
        n_layers, n_energies = (header_number(header, key, "its header", kind=int) for key in ("N_LAYER", "N_ENERGY"))
        weights = {hdu.header["WEIGHT"]: _weights(hdu) for hdu in hdulist if "WEIGHT" in hdu.header}
        n_weights = sum(value.size for value in weights.values())
        if not (n_layers and n_energies and 0 < n_layers <= n_weights and 0 < n_energies <= _MOST_ENERGIES):
            msg = f"N_LAYER is {n_layers}, N_ENERGY {n_energies}, and there are {n_weights} weights in all."
            raise ValueError(msg)
        network = UnrolledPALM(*(header_text(header, key, "its header") for key in ("S_UPDATE", "A_UPDATE")), n_layers)
        network.allocate(n_energies, len(names))
        network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        prior = None
        if "MEAN" in components.names:
            prior = SpectralPrior(**{field.name: components[field.name] for field in fields(SpectralPrior)})
        history = []
        if "TRAINING" in hdulist:
            table = Table.read(hdulist["TRAINING"])
            history = [dict(zip(table.colnames, (value.item() for value in row))) for row in table.iterrows()]
        first, last = list(header).index("N_ENERGY") + 1, list(header).index("CHECKSUM")
        return cls(
            network,
            component_names=names,
            energy_edges=read_ebounds(hdulist["EBOUNDS"]) if "EBOUNDS" in hdulist else None,
            prior=prior,
            history=history,
            description={key: header[key] for key in list(header)[first:last] if key != "LONGSTRN"},
            name=header_text(header, "MODEL", "its header"),
        )


def _described(network):
    # The settings of ours, the class of any other.
    if type(network) is not UnrolledPALM:
        return type(network).__qualname__
    settings = network.settings.items()
    return ", ".join(
        f"{key}={value.__qualname__ if isinstance(value, type) else repr(value)}" for key, value in settings
    )


def _weights(hdu):
    if not hdu.is_image or hdu.data is None:
        msg = f"its extension {hdu.name} holds no weights."
        raise ValueError(msg)
    return hdu.data.astype(np.float32)


def packaged_models():
    """Return the names of the models that come with the package.

    Returns
    -------
    list of str
    """
    return list(packaged_files(".fits"))


def load_model(name_or_path):
    """Load a model, by the name of a packaged one or from a file.

    Parameters
    ----------
    name_or_path : str or `os.PathLike`
        One of `packaged_models`, which always means that one; anything else, as a name with a suffix or a directory
        (``snr-acis.fits``, ``./snr-acis``), is a path.

    Returns
    -------
    `Model`

    Raises
    ------
    FileNotFoundError
        If it is neither.
    OSError, ValueError
        See `Model.read`.

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> load_model("snr-acis").network.n_layers
    25
    """
    packaged = packaged_files(".fits")
    path = packaged.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        known = ", ".join(packaged)
        msg = f"'{name_or_path}' is neither a file nor a packaged model; the packaged ones are: {known}."
        raise FileNotFoundError(msg)
    return Model.read(path)
