"""Component spectra as OGIP PHA files."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from astropy.io import fits

from .._files import complete_or_nothing, write_fits
from ..cube import ebounds_hdu
from ._fits import observation_cards, provenance_cards

__all__ = ["spectrum_errors", "write_spectra"]


def write_spectra(separation, prefix, *, overwrite=False):
    """Write one PHA file per component; see `Separation.write_pha`."""
    prefix = Path(prefix)
    if prefix.is_dir():
        paths = [prefix / f"{name}.pha" for name in separation.names]
    else:
        paths = [prefix.with_name(f"{prefix.name}_{name}.pha") for name in separation.names]
    errors = spectrum_errors(separation)
    with ExitStack() as stack:
        # Every file is complete under its temporary name before the first is put in place.
        for name, path, error in zip(separation.names, paths, errors.T):
            temporary = stack.enter_context(complete_or_nothing(path, overwrite=overwrite))
            write_fits(_pha_hdulist(separation, name, error), temporary, overwrite=True)
    return paths


def spectrum_errors(separation):
    """Poisson noise of the component spectra, for images taken as known.

    Parameters
    ----------
    separation : Separation

    Returns
    -------
    `~numpy.ndarray`, shape (m, n)
        Standard deviations in counts; see the Notes of `Separation.write_pha`.
    """
    solve = np.linalg.pinv(separation.sources)  # (t, n): mixing = X @ solve
    noise = np.maximum(separation.mixing @ separation.sources, 0)  # Poisson: the variance is the expected count
    variance = separation.sources.sum(axis=1) ** 2 * (noise @ solve**2)
    return np.sqrt(np.maximum(variance, 1))


def _pha_hdulist(separation, name, error):
    cube = separation.cube
    counts = separation.spectra[name].value
    channels = np.arange(1, cube.n_energy + 1)
    spectrum = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "J", array=channels),
            fits.Column("COUNTS", "D", unit="count", array=counts),
            fits.Column("STAT_ERR", "D", unit="count", array=error),
        ],
        name="SPECTRUM",
    )
    spectrum.header["TLMIN1"], spectrum.header["TLMAX1"] = 1, cube.n_energy

    observation = observation_cards(cube.meta)
    observation.update(observation_cards(separation.header))
    spectrum.header.update(_mandatory_cards(name, cube.n_energy))
    spectrum.header.update(observation)
    primary = fits.PrimaryHDU()
    primary.header.update(observation)
    primary.header.extend(separation.header, strip=True, update=True)
    primary.header.update(provenance_cards())
    ebounds = ebounds_hdu(cube.energy_edges)
    ebounds.header.update({key: spectrum.header[key] for key in ("TELESCOP", "INSTRUME", "FILTER")})
    return fits.HDUList([primary, spectrum, ebounds])


def _mandatory_cards(name, n_energy):
    """Cards that every type I PHA must have (OGIP 92-007), with what to say where the observation does not."""
    return [
        ("HDUCLASS", "OGIP", "format conforms to OGIP standard"),
        ("HDUCLAS1", "SPECTRUM", "PHA dataset (OGIP memo OGIP-92-007)"),
        ("HDUVERS", "1.2.1", "version of the format"),
        ("HDUCLAS2", "NET", "the other components are taken away"),
        ("HDUCLAS3", "COUNT", "counts, not rates"),
        ("TELESCOP", "UNKNOWN", "mission"),
        ("INSTRUME", "UNKNOWN", "instrument"),
        ("FILTER", "none", "filter"),
        ("OBJECT", "UNKNOWN", "target"),
        ("COMPNAME", name, "component of the separation"),
        ("EXPOSURE", 1.0, "[s] not known, so that rates are counts"),
        ("CHANTYPE", "PI", "energy bins of the cube, see EBOUNDS"),
        ("DETCHANS", n_energy, "number of channels"),
        ("POISSERR", False, "counts are estimates, with errors in STAT_ERR"),
        ("SYS_ERR", 0, "no systematic error given"),
        ("QUALITY", 0, "no channel is marked as bad"),
        ("GROUPING", 0, "channels are not grouped"),
        ("AREASCAL", 1.0, "scale of the area"),
        ("BACKSCAL", 1.0, "scale of the background"),
        ("CORRSCAL", 0.0, "no correction file to scale"),
        ("RESPFILE", "none", "redistribution matrix"),
        ("ANCRFILE", "none", "effective area"),
        ("BACKFILE", "none", "background"),
        ("CORRFILE", "none", "correction"),
    ]
