"""Responses as OGIP files: the area in an ARF, the redistribution in an RMF (CAL/GEN/92-002, George et al.)."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from astropy.io import fits

from .._files import complete_or_nothing, write_fits

__all__ = ["write_response"]


def write_response(response, arf, rmf, *, overwrite=False):
    """Write both files, or neither; see `Response.write`."""
    if Path(arf).resolve() == Path(rmf).resolve():
        msg = f"'{arf}' cannot be both the ARF and the RMF; give two names."
        raise ValueError(msg)
    energies, channels = response.energy_edges.value, response.channel_edges.value
    numbers = response.first_channel + np.arange(channels.size - 1)
    bins = [
        fits.Column("ENERG_LO", "D", unit="keV", array=energies[:-1]),
        fits.Column("ENERG_HI", "D", unit="keV", array=energies[1:]),
    ]
    area = response.area.value
    specresp = _table(
        [*bins, fits.Column("SPECRESP", "D", unit="cm**2", array=area)], "SPECRESP", "RESPONSE", "SPECRESP"
    )
    ebounds = _table(
        [
            fits.Column("CHANNEL", "J", array=numbers),
            fits.Column("E_MIN", "D", unit="keV", array=channels[:-1]),
            fits.Column("E_MAX", "D", unit="keV", array=channels[1:]),
        ],
        "EBOUNDS", "RESPONSE", "EBOUNDS",
    )  # fmt: skip
    matrix = _table([*bins, *_groups(response, area)], "MATRIX", "RESPONSE", "RSP_MATRIX", "REDIST")
    matrix.header["TLMIN4"], matrix.header["TLMAX4"] = int(numbers[0]), int(numbers[-1])
    matrix.header["LO_THRES"] = (0.0, "every probability is kept")
    for hdu in (matrix, ebounds):
        hdu.header["CHANTYPE"], hdu.header["DETCHANS"] = "PI", numbers.size
    with ExitStack() as stack:
        # Both are complete under temporary names before the first is put in place.
        for path, hdus in ((arf, [specresp]), (rmf, [matrix, ebounds])):
            temporary = stack.enter_context(complete_or_nothing(path, overwrite=overwrite))
            write_fits(fits.HDUList([fits.PrimaryHDU(), *hdus]), temporary, overwrite=True)


def _groups(response, area):
    # One group of channels for each row, from the first that is not zero to the last.
    rows = response.matrix.toarray() / np.where(area > 0, area, 1.0)[:, np.newaxis]
    filled = rows > 0
    first = np.where(filled.any(axis=1), filled.argmax(axis=1), 0)
    last = np.where(filled.any(axis=1), rows.shape[1] - filled[:, ::-1].argmax(axis=1), 0)
    values = np.empty(len(rows), dtype=object)
    values[:] = [row[a:b] for row, a, b in zip(rows, first, last)]
    return [
        fits.Column("N_GRP", "I", array=filled.any(axis=1).astype(int)),
        fits.Column("F_CHAN", "J", array=response.first_channel + first),
        fits.Column("N_CHAN", "J", array=last - first),
        fits.Column("MATRIX", "PD()", array=values),
    ]


def _table(columns, name, *classes):
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    hdu.header["HDUCLASS"] = ("OGIP", "format conforms to OGIP standard")
    hdu.header.update({f"HDUCLAS{i}": value for i, value in enumerate(classes, 1)})
    hdu.header["HDUVERS"] = "1.3.0" if classes[-1] == "REDIST" else ("1.1.0" if name == "SPECRESP" else "1.2.0")
    hdu.header.update({"TELESCOP": "UNKNOWN", "INSTRUME": "UNKNOWN", "FILTER": "NONE"})
    return hdu
