"""The FITS file of a model."""

import hashlib
from dataclasses import fields

import numpy as np
import torch
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from .. import __version__
from .._files import open_fits, write_fits
from .._headers import header_number, header_text
from ..grid import ebounds_hdu, read_ebounds
from ..separation import UnrolledPALM
from ..spectra import ParametricSpectra, SpectralPrior

__all__ = ["fingerprint", "read_model", "write_model"]

_FORMAT = 1
# What astropy and torch raise where extensions or weights are missing, or others than expected.
_DAMAGED = (AttributeError, KeyError, RuntimeError, TypeError, ValueError)
_MOST_ENERGIES = 1 << 20  # which no file is believed to go beyond


def fingerprint(network):
    """Give sixteen hexadecimal digits that tell one set of weights from another."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()[:16]


def write_model(model, path, *, overwrite=False):
    """Write a model; see `Model.write`."""
    _check_named(model)
    primary = fits.PrimaryHDU()
    header = primary.header
    header["CONTENT"] = ("astro_lpalm model", "a trained separation network")
    header["MODELVER"] = (_FORMAT, "version of this file format")
    header["MODEL"] = model.name  # without a comment, for which a long name leaves no room
    header["MODELSUM"] = (model.checksum, "fingerprint of the weights")
    header["CREATOR"] = f"astro_lpalm {__version__}"
    header["DATE"] = (Time.now().isot[:19], "UTC of writing")
    header["S_UPDATE"] = (model.network.settings["s_update"], "update of the sources")
    header["A_UPDATE"] = (model.network.settings["a_update"], "update of the spectra")
    header["N_LAYER"] = (model.network.n_layers, "number of layers K")
    header["N_ENERGY"] = (model.network.n_energies, "number of energies m")
    for key, value in model.description.items():
        header[key] = value
    components = Table({"NAME": list(model.component_names)})
    if model.prior is not None:
        for field in fields(SpectralPrior):
            components[field.name.upper()] = getattr(model.prior, field.name)
    hdus = [primary, fits.BinTableHDU(components, name="COMPONENTS")]
    if model.energy_edges is not None:
        hdus.append(ebounds_hdu(model.energy_edges))
    if model.physics is not None:
        hdus += model.physics.to_hdus()
    if model.components_file:
        lines = Table({"LINE": model.components_file.split("\n")})
        hdus.append(fits.BinTableHDU(lines, name="COMPONENTS_FILE"))
    for name, value in model.network.state_dict().items():
        hdu = fits.ImageHDU(np.atleast_1d(value.detach().cpu().numpy()), name=f"WEIGHT_{name}")
        hdu.header["WEIGHT"] = (name, "name of this parameter in the network")
        hdus.append(hdu)
    if model.history:
        hdus.append(fits.BinTableHDU(Table(rows=model.history), name="TRAINING"))
    write_fits(fits.HDUList(hdus), path, overwrite=overwrite)


def _check_named(model):
    classes = [] if type(model.network) is UnrolledPALM else [type(model.network)]
    if not classes:
        classes = [value for value in model.network.settings.values() if isinstance(value, type)]
    if classes:
        msg = (
            f"the model {model.name!r} cannot be written: a model file keeps the names of a network's updates and "
            f"its weights, but not the class {classes[0].__qualname__}, which would have to be pickled. Keep the "
            "weights in a file of your own, and make the model anew by Model(network, component_names=...)."
        )
        raise ValueError(msg)


def read_model(path):
    """Read what a `Model` is made of; see `Model.read`.

    Returns
    -------
    dict
        The arguments of `Model`.
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
            found, stated = _from_hdulist(hdulist), header_text(hdulist[0].header, "MODELSUM", f"'{path}'")
        except _DAMAGED as error:
            msg = f"'{path}' is not a complete model: {error}"
            raise ValueError(msg) from error
    checksum = fingerprint(found["network"])
    if checksum != stated:
        msg = (
            f"'{path}': its weights have the fingerprint {checksum}, but its header says {stated or 'none'} "
            "(MODELSUM), so they were changed after the training; get a fresh copy, or train anew."
        )
        raise ValueError(msg)
    return found


def _from_hdulist(hdulist):
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
    text = _text(hdulist["COMPONENTS_FILE"]) if "COMPONENTS_FILE" in hdulist else ""
    first, last = list(header).index("N_ENERGY") + 1, list(header).index("CHECKSUM")
    return {
        "network": network,
        "component_names": names,
        "energy_edges": read_ebounds(hdulist["EBOUNDS"]) if "EBOUNDS" in hdulist else None,
        "prior": prior,
        "physics": ParametricSpectra.from_hdulist(hdulist, text) if "PARAMETERS" in hdulist else None,
        "components_file": text,
        "history": history,
        "description": {key: header[key] for key in list(header)[first:last] if key != "LONGSTRN"},
        "name": header_text(header, "MODEL", "its header"),
    }


def _text(hdu):
    return "\n".join(str(line) for line in hdu.data["LINE"])


def _weights(hdu):
    if not hdu.is_image or hdu.data is None:
        msg = f"its extension {hdu.name} holds no weights."
        raise ValueError(msg)
    return hdu.data.astype(np.float32)
