"""Component spectra as OGIP PHA files, and the response that belongs to their channels."""

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from astropy.io import fits

from .._files import check_files, complete_or_nothing, open_fits, same_file, write_fits
from .._headers import exposure_time, header_text
from ..cube.masking import describe_region
from ..grid import ebounds_hdu
from ..instrument import response_on_bins
from ..trust.errors import spectrum_errors
from ._fits import observation_cards, provenance_cards
from ._region import Spectra, spectra_of_region

__all__ = ["pha_files", "write_spectra"]

_FILES = ("RESPFILE", "ANCRFILE", "BACKFILE")
_INSTRUMENT = ("TELESCOP", "INSTRUME", "DETNAM", "FILTER", "GRATING")


def write_spectra(separation, prefix, *, response=None, region=None, overwrite=False):
    """Write one PHA file per component; see `Separation.write_pha`."""
    *paths, arf, rmf = pha_files(separation.names, prefix)
    files = {} if response is None else {"ANCRFILE": arf, "RESPFILE": rmf}
    _refuse_given(response, files.values())
    given = [region] if isinstance(region, str | os.PathLike) else []
    check_files({path.name: path for path in (*paths, *files.values())}, given, overwrite=overwrite)
    spectra = _spectra_of_field(separation) if region is None else spectra_of_region(separation, region)
    lines = [] if region is None else ["counts of:", *describe_region(region, separation.cube)]
    observation = _observation(separation)
    if response is not None:
        if "EXPOSURE" not in observation:
            msg = "the cube's header has no EXPOSURE, so that counts would be no fluxes; set cube.meta['EXPOSURE'] (s)."
            raise ValueError(msg)
        response = response_on_bins(response, separation.cube.energy_edges)
    with ExitStack() as stack:
        # Every file is complete under its temporary name before the first is put in place.
        for index, path in enumerate(paths):
            temporary = stack.enter_context(complete_or_nothing(path, overwrite=overwrite))
            hdulist = _pha_hdulist(separation, spectra, index, observation, files)
            for line in lines:
                hdulist["SPECTRUM"].header.add_history(line)
            write_fits(hdulist, temporary, overwrite=True)
        temporary = [stack.enter_context(complete_or_nothing(path, overwrite=overwrite)) for path in files.values()]
        if files:
            response.write(*temporary, overwrite=True)
            for path in temporary:
                _name_instrument(path, observation)
    return paths


def pha_files(names, prefix):
    """Name the files that `Separation.write_pha` writes.

    Parameters
    ----------
    names : sequence of str
        The components.
    prefix : str or `os.PathLike`
        A directory, or the beginning of the files' names.

    Returns
    -------
    list of `pathlib.Path`
        A PHA file of each component, and the ARF and the RMF, which are written where a response is given.

    Examples
    --------
    >>> from astro_lpalm.results import pha_files
    >>> [path.name for path in pha_files(["thermal", "nonthermal"], "remnant")]
    ['remnant_thermal.pha', 'remnant_nonthermal.pha', 'remnant_response.arf', 'remnant_response.rmf']
    """
    prefix, last = Path(prefix), [*(f"{name}.pha" for name in names), "response.arf", "response.rmf"]
    return [prefix / name if prefix.is_dir() else prefix.with_name(f"{prefix.name}_{name}") for name in last]


def _refuse_given(response, paths):
    given = response if isinstance(response, list | tuple) else [response]
    given = [each for each in given if isinstance(each, str | os.PathLike)]
    for path in paths:
        if any(same_file(path, each) for each in given):
            msg = (
                f"'{path}' is the response itself, which that in the cube's bins would replace; choose another prefix."
            )
            raise ValueError(msg)


def _spectra_of_field(separation):
    counts = np.column_stack([separation.spectra[name].value for name in separation.names])
    errors = spectrum_errors(separation.fit)
    if separation.spectra_uncertainty is not None:
        errors = np.maximum(errors, separation.spectra_uncertainty)
    return Spectra(counts, errors, 1.0)


def _observation(separation):
    observation = observation_cards(separation.cube.meta)
    observation.update(observation_cards(separation.header))
    where = "the cube's header"
    # What has no value is not known: a spectrum must say so in words of its own.
    known = fits.Header([card for card in observation.cards if header_text(observation, card.keyword, where)])
    for key in {"EXPOSURE", "LIVETIME", "ONTIME"} & set(known):
        known[key] = exposure_time(known, where, key)
    return known


def _name_instrument(path, observation):
    """Say in response files which instrument they are of, since XSPEC compares that with the spectrum's."""
    with open_fits(path, memmap=False) as hdulist:
        for hdu in hdulist[1:]:
            hdu.header.update({key: observation[key] for key in _INSTRUMENT if key in observation})
        write_fits(hdulist, path, overwrite=True)


def _pha_hdulist(separation, spectra, index, observation, files):
    cube = separation.cube
    spectrum = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "J", array=np.arange(1, cube.n_energy + 1)),
            fits.Column("COUNTS", "D", unit="count", array=spectra.counts[:, index]),
            fits.Column("STAT_ERR", "D", unit="count", array=spectra.errors[:, index]),
            fits.Column("QUALITY", "I", array=np.zeros(cube.n_energy, dtype=int)),
            fits.Column("GROUPING", "I", array=np.ones(cube.n_energy, dtype=int)),
        ],
        name="SPECTRUM",
    )
    spectrum.header["TLMIN1"], spectrum.header["TLMAX1"] = 1, cube.n_energy
    spectrum.header.update(_mandatory_cards(separation.names[index], cube.n_energy, spectra.share))
    # Files that the observation names have channels of the instrument, not these, and background that is taken away.
    here = {key: value for key, value in observation.items() if key not in _FILES}
    spectrum.header.update(here)
    spectrum.header.update({key: path.name for key, path in files.items()})
    primary = fits.PrimaryHDU()
    primary.header.update(observation)
    primary.header.extend(separation.header, strip=True, update=True)
    primary.header.update(provenance_cards())
    ebounds = ebounds_hdu(cube.energy_edges)
    ebounds.header.update({key: spectrum.header[key] for key in ("TELESCOP", "INSTRUME", "FILTER")})
    return fits.HDUList([primary, spectrum, ebounds])


def _mandatory_cards(name, n_energy, share):
    """Cards that every type I PHA must have (OGIP 92-007), with what to say where the observation does not."""
    return [
        ("HDUCLASS", "OGIP", "format conforms to OGIP standard"),
        ("HDUCLAS1", "SPECTRUM", "PHA dataset (OGIP memo OGIP-92-007)"),
        ("HDUVERS", "1.2.1", "version of the format"),
        ("HDUCLAS2", "NET", "the other components are taken away"),
        ("HDUCLAS3", "COUNT", "counts, not rates"),
        ("HDUCLAS4", "TYPE:I", "one spectrum"),
        ("TELESCOP", "UNKNOWN", "mission"),
        ("INSTRUME", "UNKNOWN", "instrument"),
        ("FILTER", "none", "filter"),
        ("OBJECT", "UNKNOWN", "target"),
        ("COMPNAME", name, "component"),
        ("EXPOSURE", 1.0, "[s] not known, so that rates are counts"),
        ("CHANTYPE", "PI", "energy bins of the cube, see EBOUNDS"),
        ("DETCHANS", n_energy, "number of channels"),
        ("POISSERR", False, "counts are estimates, with errors in STAT_ERR"),
        ("SYS_ERR", 0, "no systematic error given"),
        ("AREASCAL", 1.0, "scale of the area"),
        ("BACKSCAL", share, "share of the image's pixels"),
        ("CORRSCAL", 0.0, "no correction file to scale"),
        ("RESPFILE", "none", "redistribution matrix"),
        ("ANCRFILE", "none", "effective area"),
        ("BACKFILE", "none", "background"),
        ("CORRFILE", "none", "correction"),
    ]
