"""ARF, RMF and PHA files in the forms that real ones come in."""

import numpy as np
from astropy.io import fits

from astro_lpalm._files import write_fits

ENERGY_EDGES = np.array([0.25, 0.5, 1.0, 1.5, 2.0, 3.0])
CHANNEL_EDGES = np.array([0.125, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0])
AREA = np.array([10.0, 200.0, 400.0, 300.0, 50.0])
# One row in two groups, one of a single channel, one empty; in eighths, so that single precision holds them.
REDISTRIBUTION = (
    np.array([[8, 0, 0, 0, 0, 0, 0], [1, 3, 4, 0, 0, 0, 0], [1, 0, 0, 5, 2, 0, 0], [0] * 7, [0, 0, 0, 0, 1, 2, 5]]) / 8
)
CONTIGUOUS = np.where([[0] * 7, [0] * 7, [0, 1, 1, 0, 0, 0, 0], [0] * 7, [0] * 7], 0.125, REDISTRIBUTION)


def save(hdus, path):
    write_fits(fits.HDUList([fits.PrimaryHDU(), *hdus]), path)
    return path


def _table(columns, name, classes):
    hdu = fits.BinTableHDU.from_columns([fits.Column(*column[:2], **column[2]) for column in columns], name=name)
    hdu.header["HDUCLASS"] = "OGIP"
    hdu.header.update({f"HDUCLAS{i}": value for i, value in enumerate(classes, start=1)})
    return hdu


def make_arf(edges=ENERGY_EDGES, area=AREA, *, unit="keV", area_unit="cm**2"):
    low, high = ({"array": side, "unit": unit} for side in (edges[:-1], edges[1:]))
    columns = [("ENERG_LO", "E", low), ("ENERG_HI", "E", high), ("SPECRESP", "E", {"array": area, "unit": area_unit})]
    return _table(columns, "SPECRESP", ("RESPONSE", "SPECRESP"))


def _groups(row):
    """First channels and numbers of channels of the runs that are not zero."""
    change = np.flatnonzero(np.diff(np.concatenate([[0], row > 0, [0]])))
    return change[::2], change[1::2] - change[::2]


def make_rmf(
    matrix=REDISTRIBUTION,
    energy_edges=ENERGY_EDGES,
    channel_edges=CHANNEL_EDGES,
    *,
    layout="variable",
    first=1,
    tlmin="F_CHAN",
    unit="keV",
    name="MATRIX",
    content="REDIST",
):
    """The tables MATRIX and EBOUNDS; ``layout`` is that of F_CHAN, N_CHAN and MATRIX: variable, fixed or scalar."""
    groups = [_groups(row) for row in matrix]
    n_groups = [len(starts) for starts, _ in groups]
    begins, counts = [starts + first for starts, _ in groups], [lengths for _, lengths in groups]
    values = [row[row > 0] for row in matrix]
    if layout == "variable":
        formats = ("PI()", "PI()", "PE()")
        begins, counts, values = (_objects(rows) for rows in (begins, counts, values))
    else:
        begins, counts, values = (_padded(rows) for rows in (begins, counts, values))
        formats = [f"{len(rows[0])}{kind}" for rows, kind in ((begins, "I"), (counts, "I"), (values, "E"))]
        if layout == "scalar":
            begins, counts = begins[:, 0], counts[:, 0]
    table = _table(
        [
            ("ENERG_LO", "E", {"array": energy_edges[:-1], "unit": unit}),
            ("ENERG_HI", "E", {"array": energy_edges[1:], "unit": unit}),
            ("N_GRP", "I", {"array": n_groups}),
            ("F_CHAN", formats[0], {"array": begins}),
            ("N_CHAN", formats[1], {"array": counts}),
            ("MATRIX", formats[2], {"array": values}),
        ],
        name,
        ("RESPONSE", "RSP_MATRIX", content),
    )
    n_channel = len(channel_edges) - 1
    ebounds = _table(
        [
            ("CHANNEL", "I", {"array": np.arange(first, first + n_channel)}),
            ("E_MIN", "E", {"array": channel_edges[:-1], "unit": unit}),
            ("E_MAX", "E", {"array": channel_edges[1:], "unit": unit}),
        ],
        "EBOUNDS",
        ("RESPONSE", "EBOUNDS"),
    )
    table.header["DETCHANS"] = ebounds.header["DETCHANS"] = n_channel
    if tlmin == "F_CHAN":
        table.header["TLMIN4"] = first
    elif tlmin == "CHANNEL":
        ebounds.header["TLMIN1"] = first
    return table, ebounds


def _objects(rows):
    held = np.empty(len(rows), dtype=object)
    held[:] = rows
    return held


def _padded(rows):
    held = np.zeros((len(rows), max(len(row) for row in rows)))
    for padded, row in zip(held, rows):
        padded[: len(row)] = row
    return held


def make_pha(counts, *, column="COUNTS", first=1, content="TOTAL", columns=(), **cards):
    """A table SPECTRUM; ``columns`` are further ones, and ``cards`` keywords of its header."""
    channel = np.arange(first, first + len(counts))
    unit = "count" if column == "COUNTS" else "count/s"
    spectrum = [("CHANNEL", "J", {"array": channel}), (column, "D", {"array": counts, "unit": unit}), *columns]
    hdu = _table(spectrum, "SPECTRUM", ("SPECTRUM", content))
    hdu.header.update({"TLMIN1": first, "DETCHANS": len(counts), "EXPOSURE": 100.0} | cards)
    return hdu
