"""A training under way as a FITS file, so that it can be interrupted and nothing has to be unpickled."""

import hashlib
import json
from pathlib import Path

import numpy as np
from astropy.io import fits

from .._cache import cache_directory
from .._files import naming, open_fits, write_fits
from .._headers import header_text

__all__ = ["cached_checkpoint", "read_checkpoint", "write_checkpoint"]


def write_checkpoint(path, arrays, identity):
    """Write named arrays, each an image extension, and the identity of the training they belong to.

    Parameters
    ----------
    path : str or `os.PathLike`
        An older checkpoint of that name is replaced once the new one is complete.
    arrays : dict of str to `~numpy.ndarray`
    identity : dict
        Plain values; see `read_checkpoint`.
    """
    primary = fits.PrimaryHDU()
    primary.header["CONTENT"] = ("astro_lpalm checkpoint", "a training under way")
    primary.header["IDENTITY"] = json.dumps(identity, sort_keys=True)
    hdus = [primary]
    for name, array in arrays.items():
        hdu = fits.ImageHDU(np.atleast_1d(array))
        hdu.header["ARRAY"] = (name, "name of this array")
        hdu.header["SCALAR"] = (np.ndim(array) == 0, "whether it is a single number")
        hdus.append(hdu)
    write_fits(fits.HDUList(hdus), path, overwrite=True)


def read_checkpoint(path, identity):
    """Read what `write_checkpoint` wrote.

    Parameters
    ----------
    path : str or `os.PathLike`
    identity : dict
        The settings and data of the training that wants to go on. They must be those of the checkpoint.

    Returns
    -------
    dict of str to `~numpy.ndarray`, or None
        `None` if there is no such file.

    Raises
    ------
    OSError
        If the file is damaged or not FITS.
    ValueError
        If it is not a checkpoint, or is one of another training.
    """
    if not Path(path).exists():
        return None
    with naming(path), open_fits(path, checksum=True) as hdulist:
        header = hdulist[0].header
        if header_text(header, "CONTENT", f"'{path}'") != "astro_lpalm checkpoint":
            msg = f"'{path}' is not a checkpoint of a training; give the name of one, or of a file that does not exist."
            raise ValueError(msg)
        stored = json.loads(header_text(header, "IDENTITY", f"'{path}'", default="{}"))
        changed = [key for key in sorted(stored | identity) if stored.get(key) != identity.get(key)]
        if changed:
            was = ", ".join(f"{key} {stored.get(key)} (now {identity.get(key)})" for key in changed)
            msg = f"'{path}' is of another training, with {was}; use the same settings and data, or another file."
            raise ValueError(msg)
        return dict(_read_array(hdu) for hdu in hdulist[1:])


def _read_array(hdu):
    name, is_scalar, data = header_text(hdu.header, "ARRAY", hdu.name), hdu.header.get("SCALAR"), hdu.data
    is_array = hdu.is_image and data is not None and (data.size == 1 or not is_scalar)
    if not (name and is_array and isinstance(is_scalar, bool)):
        msg = f"its extension {hdu.name or 'without a name'} is no array that a training wrote; get a fresh copy."
        raise ValueError(msg)
    data = data.astype(data.dtype.newbyteorder("="))
    return name, data.reshape(()) if is_scalar else data


def cached_checkpoint(identity):
    """Give the file in the user's cache directory that a training keeps itself in, and make the directory.

    Parameters
    ----------
    identity : dict
        The training's; see `read_checkpoint`. Another one has another file.

    Returns
    -------
    `pathlib.Path`
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    path = cache_directory() / f"training-{digest[:16]}.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
