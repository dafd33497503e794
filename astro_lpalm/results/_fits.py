"""A Separation as a FITS file, and back."""

from datetime import UTC, datetime
from functools import partial

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable, Table

from .. import __version__
from .._files import open_fits, write_fits
from ..cube import EventCube, PlaneCounts, Planes
from ..cube.compressed import photons_hdu
from ..cube.images import exposure_hdu, image_header
from ..cube.stored import stored_planes
from ..forward import BackgroundCounts, Fit, ForwardModel, LocalSpectra
from ..grid import celestial_wcs, ebounds_hdu, read_ebounds
from ..grid.resample import image_unit
from ..grid.sky import celestial_cards
from ._parameters import with_formats
from ._planes import background_planes, data_planes
from .maps import ParameterMap

__all__ = ["observation_cards", "provenance_cards", "read_separation", "write_separation"]

# What the next tool wants to know of the observation. The sky coordinates of each image are its own.
OBSERVATION_KEYWORDS = (
    "TELESCOP",
    "INSTRUME",
    "DETNAM",
    "GRATING",
    "FILTER",
    "DATAMODE",
    "OBS_ID",
    "SEQ_NUM",
    "OBSERVER",
    "TITLE",
    "OBJECT",
    "EXPOSURE",
    "LIVETIME",
    "ONTIME",
    "DATE-OBS",
    "DATE-END",
    "MJDREF",
    "MJD-OBS",
    "TIMESYS",
    "TIMEUNIT",
    "TSTART",
    "TSTOP",
    "RA_NOM",
    "DEC_NOM",
    "ROLL_NOM",
    "RA_PNT",
    "DEC_PNT",
    "ROLL_PNT",
    "RA_TARG",
    "DEC_TARG",
    "ASOLFILE",
    "RESPFILE",
    "ANCRFILE",
    "BACKFILE",
)
_PLAIN_TABLES = ("SPECTRA", "MIXING", "DIAGNOSTICS")
_LARGE = ("RESIDUAL", "BACKGROUND_MODEL")
_ROUNDING = 1e-5  # of images in single precision
_OF_PHOTONS = ("COUNTS", "EBOUNDS", "MASK", "EXPOSURE")


def write_separation(separation, path, *, overwrite=False):
    """Write a separation; see `Separation.write`."""
    hdulist, shape = _to_hdulist(separation), separation.cube.shape
    large = {"RESIDUAL": separation.residual_planes(np.float32)}
    if separation.background is not None:
        large["BACKGROUND_MODEL"] = Planes(shape, np.float32, partial(background_planes, separation.fit, np.float32))
    write_fits(hdulist, path, overwrite=overwrite, large={name: large[name] for name in large if name in hdulist})


def observation_cards(meta):
    """Cards of a header that describe the observation, as a header."""
    meta = fits.Header(meta or {})
    return fits.Header([meta.cards[keyword] for keyword in OBSERVATION_KEYWORDS if keyword in meta])


def provenance_cards():
    """Cards that say which program made a file, and when."""
    return [
        ("ORIGIN", "astro_lpalm", "what wrote this file"),
        ("CREATOR", f"astro_lpalm {__version__}", "and its version"),
        ("DATE", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "UTC at which it was written"),
    ]


def _to_hdulist(separation):
    primary = fits.PrimaryHDU()
    primary.header.update(observation_cards(separation.cube.meta))
    primary.header.extend(separation.header, strip=True, update=True)
    primary.header.update(provenance_cards())

    celestial = separation.cube.celestial_header()
    images = [_image_hdu(name, image.data, celestial) for name, image in separation.images.items()]
    for name, errors in (separation.image_uncertainty or {}).items():
        images.append(_image_hdu(f"{name}_ERR", errors, celestial))
    if separation.cube.exposure is not None:
        for name, image in separation.flux_images.items():
            images.append(_image_hdu(f"{name}_FLUX", image.data, celestial, image.unit))
        images.append(exposure_hdu(separation.cube))
    images += _smooth_hdus(separation, celestial) + _map_hdus(separation, celestial)
    cubes = _cube_hdus(separation, celestial)
    mixing = Table(separation.mixing, names=separation.names)
    diagnostics = fits.table_to_hdu(_without_meta(separation.diagnostics))
    for key, value in separation.diagnostics.meta.items():
        diagnostics.header[f"HIERARCH FIT {key.upper()}"] = value
    tables = {"SPECTRA": fits.table_to_hdu(separation.spectra), "MIXING": fits.table_to_hdu(mixing)}
    tables["DIAGNOSTICS"] = diagnostics
    if separation.parameters is not None:
        tables["PARAMETERS"] = fits.table_to_hdu(separation.parameters)
    for name, hdu in tables.items():
        hdu.name = name
    if separation.covariance is not None:
        covariance = fits.ImageHDU(np.array([*separation.covariance.values()]), name="COVARIANCE")
        covariance.header["BUNIT"] = ("ct2", "of the counts in SPECTRA")
        cubes.insert(0, covariance)
    for name, drawn in separation.samples.items():
        cubes.append(_image_hdu(f"{name}_SAMPLES", drawn, celestial))
    if separation.local is not None:
        cubes += _local_hdus(separation, celestial)

    return fits.HDUList(
        [
            primary,
            *images,
            tables["SPECTRA"],
            tables["MIXING"],
            ebounds_hdu(separation.cube.energy_edges),
            *cubes,
            *(tables[name] for name in ("PARAMETERS", "DIAGNOSTICS") if name in tables),
        ]
    )


def _cube_hdus(separation, celestial):
    """Make what has energies: residuals, which would be no more than noise of what is mostly empty, or photons."""
    cube, background, spectral = separation.cube, separation.background, image_header(separation.cube)
    is_parted = (cube.is_sparse or cube.is_lazy) and background is not None and background.is_separable
    if cube.is_sparse:
        hdus = [photons_hdu(cube.photons, spectral, "COUNTS")]
        if cube.mask is not None:
            hdus.append(fits.ImageHDU(cube.mask.astype(np.uint8), celestial, name="MASK"))
    else:
        hdus = [_image_hdu("RESIDUAL", None, spectral)]
    if is_parted:
        spectra, totals = background.amplitude * background.values, background.shares.spectrum()
        images = spectra.sum(axis=0)[:, np.newaxis] * background.shares.matrix()
        images, spectra = (images[0], spectra[:, 0] * totals) if len(images) == 1 else (images, spectra * totals)
        hdus.append(_image_hdu("BACKGROUND_IMAGE", cube.image_of(images), celestial))
        hdus.append(fits.table_to_hdu(Table({"COUNTS": spectra})))
        hdus[-1].name = "BACKGROUND_SPECTRUM"
    elif background is not None:
        hdus.append(_image_hdu("BACKGROUND_MODEL", None, spectral))
    return hdus


def _smooth_hdus(separation, celestial):
    hdus = []
    for name, image in (separation.smooth_images or {}).items():
        hdus.append(_image_hdu(f"{name}_SMOOTH", image.data, celestial))
        hdus.append(_image_hdu(f"{name}_SMOOTH_ERR", image.uncertainty.array, celestial))
    return hdus


def _map_hdus(separation, celestial):
    """Make images of maps and errors; what the data do not decide has its own, lest it be taken for measured."""
    hdus = []
    for component, maps in separation.parameter_maps.items():
        for parameter, found in maps.items():
            planes = {"": np.where(found.mask, np.nan, found.data), "_ERR": found.uncertainty.array}
            if (found.mask & ~separation.cube.pixel_mask).any():
                planes["_PRIOR"] = np.where(found.mask, found.data, np.nan)
            for kind, plane in planes.items():
                hdus.append(_image_hdu(f"{component}_{parameter}{kind}", plane, celestial, found.unit))
            hdus[-len(planes)].header["COMPNAME"] = (component, "component")
            hdus[-len(planes)].header["PARNAME"] = (parameter, "its parameter, of which this is a map")
    return hdus


def _local_hdus(separation, celestial):
    """Make the image and the table of local spectra: what is in each pixel's, and the basis with its owners."""
    local = separation.local
    coefficients = fits.ImageHDU(
        separation.cube.image_of(local.coefficients).astype(np.float32), celestial, name="LOCAL_COEFFICIENTS"
    )
    owners = [separation.names[k] for k in local.owners]
    basis = fits.table_to_hdu(Table({"component": owners, "spectrum": local.basis.T}))
    basis.name = "LOCAL_BASIS"
    return [coefficients, basis]


def _without_meta(table):
    table = table.copy()
    table.meta.clear()
    return table


def _image_hdu(name, data, header, unit=u.count):
    """Make an image; without data it is written plane by plane."""
    hdu = fits.ImageHDU(None if data is None else data.astype(np.float32, copy=False), header=header, name=name)
    hdu.header["BUNIT"] = unit.to_string("fits")
    return hdu


def read_separation(path, memmap=None):
    """Read what a `Separation` is made of; see `Separation.read`.

    Returns
    -------
    dict
        The arguments of `Separation`.
    """
    with open_fits(path) as hdulist:
        tables = {hdu.name for hdu in hdulist if isinstance(hdu, fits.BinTableHDU)}
        missing = [name for name in (*_PLAIN_TABLES, "EBOUNDS") if name not in tables]
        missing += [] if "RESIDUAL" in hdulist or "COUNTS" in hdulist else ["RESIDUAL"]
        if missing:
            msg = (
                f"'{path}' is not a file written by Separation.write: it has no extension {', '.join(missing)}; give "
                "the output of a separation."
            )
            raise ValueError(msg)
        stored = dict.fromkeys(_LARGE)
        for name in () if memmap is False else stored:
            if name in hdulist and hdulist[name].header["NAXIS"] == 3:
                shape = [hdulist[name].header[f"NAXIS{axis}"] for axis in (3, 2, 1)]
                stored[name] = stored_planes(hdulist[name], shape, path, must=memmap is True)
        try:
            return _from_hdulist(hdulist, stored)
        except (AttributeError, KeyError, ValueError, TypeError, IndexError) as error:
            msg = f"'{path}' has the extensions of a separation, but they do not belong together: {error}"
            raise ValueError(msg) from error


def _from_hdulist(hdulist, stored):
    mixing = Table.read(hdulist["MIXING"])
    names = mixing.colnames
    mixing = np.column_stack([np.asarray(mixing[name], dtype=float) for name in names])
    images = np.array([hdulist[name].data for name in names], dtype=float)
    residual, mask = stored["RESIDUAL"], np.isnan(images).any(axis=0)
    if "RESIDUAL" not in hdulist:
        cube = EventCube.from_hdu(fits.HDUList([hdu for hdu in hdulist if hdu.name in _OF_PHOTONS]))
    elif residual is None:
        residual = np.array(hdulist["RESIDUAL"].data, dtype=float)
        mask = np.isnan(residual).all(axis=0)

    # An image is its source times the sum of its spectrum; a spectrum of zeros leaves nothing to divide.
    sums = mixing.sum(axis=0)
    sources = images[:, ~mask] / np.where(sums == 0, 1, sums)[:, np.newaxis]
    local, background = _read_local(hdulist, names, mask), _read_background(hdulist, mask, stored["BACKGROUND_MODEL"])
    background = None if background is None else BackgroundCounts.of(background)
    fit = Fit(None, ForwardModel(~mask, background=background), mixing, sources, local)
    _check_spectra(hdulist["SPECTRA"], fit, names)
    if residual is not None:
        cube = _read_cube(hdulist, residual, fit, mask)
    header = hdulist["PRIMARY"].header.copy(strip=True)
    for keyword in (*observation_cards(cube.meta), "CHECKSUM", "DATASUM"):
        header.remove(keyword, ignore_missing=True)
    diagnostics = _read_diagnostics(hdulist["DIAGNOSTICS"], names)
    return {
        "cube": cube,
        "mixing": mixing,
        "sources": sources,
        "names": names,
        "diagnostics": diagnostics,
        "header": header,
        "background": background,
        "local": local,
        "smooth": _read_smooth(hdulist, names, mask),
        "maps": _read_maps(hdulist, mask),
        "samples": _read_samples(hdulist, names, mask),
        **_read_uncertainty(hdulist, names, mask),
    }


def _check_spectra(hdu, fit, names):
    """Refuse a file of which a part was changed or removed: what images and mixing give is in the table as well."""
    found = fit.component_spectra()
    given = np.column_stack([np.asarray(hdu.data[name], dtype=float) for name in names])
    rounding = _ROUNDING * np.abs(fit.mixing) * np.abs(fit.images).sum(axis=1)  # counts of either sign may cancel
    wrong = np.abs(given - found) > rounding + 1e-3 * np.abs(found).max(axis=0)
    if wrong.any():
        name = names[int(np.argmax(wrong.any(axis=0)))]
        msg = (
            f"the spectrum of {name} in SPECTRA is not that of its image, MIXING and LOCAL_BASIS, so that one of these "
            "was changed or removed."
        )
        raise ValueError(msg)


def _read_background(hdulist, mask, stored):
    if stored is not None:
        return BackgroundCounts.of(PlaneCounts(stored, mask))
    if "BACKGROUND_MODEL" in hdulist:
        return np.array(hdulist["BACKGROUND_MODEL"].data, dtype=float)[:, ~mask]
    if "BACKGROUND_IMAGE" not in hdulist:
        return None
    images = np.array(hdulist["BACKGROUND_IMAGE"].data, dtype=float)[..., ~mask]
    shares = [each / each.sum() if each.any() else np.full(each.size, 1 / each.size) for each in np.atleast_2d(images)]
    spectra = np.array(hdulist["BACKGROUND_SPECTRUM"].data["COUNTS"], dtype=float)
    return BackgroundCounts(spectra.reshape(-1, len(shares)), np.array(shares))


def _read_cube(hdulist, residual, fit, mask):
    """Make the data of residuals, an array or planes, and what they were left by."""
    if isinstance(residual, Planes):
        data = Planes(residual.shape, float, partial(data_planes, residual, fit), residual.depth)
    else:
        data = np.zeros(residual.shape)
        data[:, ~mask] = fit.expected() + residual[:, ~mask]
    # A cube file takes its energies from EBOUNDS, and its exposure from EXPOSURE.
    header, edges, exposure = hdulist["RESIDUAL"].header, read_ebounds(hdulist["EBOUNDS"]), None
    if "EXPOSURE" in hdulist:
        unit = image_unit(hdulist["EXPOSURE"].header, "the EXPOSURE image")
        exposure = np.array(hdulist["EXPOSURE"].data, dtype=float) * unit
    wcs, mask = celestial_wcs(celestial_cards(header)), mask if mask.any() else None
    return EventCube(data, energy_edges=edges, wcs=wcs, mask=mask, meta=header, exposure=exposure)


def _read_local(hdulist, names, mask):
    if "LOCAL_BASIS" not in hdulist:
        return None
    basis = Table.read(hdulist["LOCAL_BASIS"], character_as_bytes=False)
    owners = np.array([names.index(name) for name in basis["component"]])
    coefficients = np.array(hdulist["LOCAL_COEFFICIENTS"].data, dtype=np.float32)[:, ~mask]
    return LocalSpectra(np.array(basis["spectrum"], dtype=float).T, coefficients, owners)


def _read_smooth(hdulist, names, mask):
    if f"{names[0]}_SMOOTH" not in hdulist:
        return None
    return [[hdulist[f"{name}_SMOOTH{kind}"].data[~mask] for name in names] for kind in ("", "_ERR")]


def _read_maps(hdulist, mask):
    maps = []
    for hdu in hdulist:
        if "PARNAME" in hdu.header:
            values = np.array(hdu.data, dtype=float)[~mask]
            undecided = np.isnan(values)
            if undecided.any():
                values = np.where(undecided, hdulist[f"{hdu.name}_PRIOR"].data[~mask], values)
            unit = u.Unit(hdu.header["BUNIT"], format="fits").to_string()
            errors = hdulist[f"{hdu.name}_ERR"].data[~mask]
            maps.append(ParameterMap(hdu.header["COMPNAME"], hdu.header["PARNAME"], unit, values, errors, undecided))
    return maps


def _read_samples(hdulist, names, mask):
    keys = names + [f"{hdu.header['COMPNAME']}_{hdu.header['PARNAME']}" for hdu in hdulist if "PARNAME" in hdu.header]
    return {key: hdulist[f"{key}_SAMPLES"].data[:, ~mask] for key in keys if f"{key}_SAMPLES" in hdulist}


def _read_uncertainty(hdulist, names, mask):
    """Read the standard deviations that there are."""
    found, spectra = {}, hdulist["SPECTRA"]
    if f"{names[0]}_err" in spectra.columns.names:
        found["spectra_uncertainty"] = np.column_stack([spectra.data[f"{name}_err"] for name in names])
    if f"{names[0]}_ERR" in hdulist:
        found["image_uncertainty"] = [hdulist[f"{name}_ERR"].data[~mask] for name in names]
    if "COVARIANCE" in hdulist:
        found["covariance"] = hdulist["COVARIANCE"].data
    if "PARAMETERS" in hdulist:
        table = QTable.read(hdulist["PARAMETERS"], character_as_bytes=False, mask_invalid=False)
        table.meta.clear()
        if missing := [name for name in ("component", "parameter", "value", "unit") if name not in table.colnames]:
            msg = f"PARAMETERS has no column {', '.join(missing)}."
            raise ValueError(msg)
        found["parameters"] = with_formats(table)
    return found


def _read_diagnostics(hdu, names):
    table = QTable.read(hdu, character_as_bytes=False, mask_invalid=False)
    if list(table["component"]) != names:
        msg = f"DIAGNOSTICS has the components {list(table['component'])}, and MIXING {names}."
        raise ValueError(msg)
    table.remove_columns(["component", "counts", "share"])  # made again from the components
    table.meta = {key[4:].lower(): value for key, value in hdu.header.items() if key.startswith("FIT ")}
    return table
