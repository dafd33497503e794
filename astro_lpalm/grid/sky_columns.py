"""Sky coordinates of event lists: from the keywords of a table's columns to the cards of an image."""

import re

from astropy.io import fits

from .._headers import header_number, header_text
from .sky import celestial_wcs

__all__ = ["sky_cards"]

_PLACED = 6  # numbers that place two columns on the sky


def sky_cards(header, x_column, y_column, where="the event list"):
    """Take the celestial WCS of an event list from the keywords of its two sky columns.

    `astropy.wcs.WCS` reads a table's header as if it were an image's, so the keywords are renamed: TCTYPn of the X
    column becomes CTYPE1, and so on (FITS standard 4.0, section 8). Without these, REFXCTYP and so on are taken, as
    XMM-Newton's and eROSITA's software write them.

    Parameters
    ----------
    header : mapping
        Header of the event table.
    x_column, y_column : int
        Positions of the X and Y columns, from 1.
    where : str
        What the header belongs to, for messages.

    Returns
    -------
    cards : `~astropy.io.fits.Header`
        An image's WCS cards whose pixels are the list's sky pixels.

    Raises
    ------
    ValueError
        If the two columns do not carry a celestial coordinate system, only part of one, or one with a matrix or
        distortions.
    """
    cards, missing = fits.Header(), []
    # XMM-Newton's software says the same again as REFXCRVL and so on, and some lists say it only so.
    has_own = any(f"TCRVL{column}" in header for column in (x_column, y_column))
    for axis, column in ((1, x_column), (2, y_column)):
        for key, default in (("TYP", ""), ("RVL", None), ("RPX", None), ("DLT", None), ("UNI", "deg"), ("ROT", None)):
            image_key = {"TYP": "CTYPE", "RVL": "CRVAL", "RPX": "CRPIX", "DLT": "CDELT", "UNI": "CUNIT", "ROT": "CROTA"}
            read = header_text if key in ("TYP", "UNI") else header_number
            name = f"TC{key}{column}" if has_own else f"REF{'XY'[axis - 1]}C{key}"
            value = read(header, name, where, default=default)
            if value is not None:
                cards[f"{image_key[key]}{axis}"] = value
            elif key != "ROT":
                missing.append(name)
    if missing and len(missing) < _PLACED:  # FITS has defaults, with which events would be somewhere else
        msg = f"{where} does not say where its sky columns are: {', '.join(missing)} missing; write the right one."
        raise ValueError(msg)
    _refuse_matrix(header, (x_column, y_column), where)
    cards.update(_frame(header, (x_column, y_column), where))
    if celestial_wcs(cards) is None:
        msg = (
            f"the sky columns (numbers {x_column} and {y_column} of the table) carry no celestial coordinates in "
            "TCTYPn, TCRVLn, TCRPXn and TCDLTn. astropy's Table drops these keywords: pass the file or its HDU."
        )
        raise ValueError(msg)
    return cards


def _frame(header, columns, where):
    """Cards of the frame and the poles: a column's own (RADEn, EQUIn, LONPn, LATPn) come before those of all."""
    keys = [
        ("RADESYS", header_text, ("RADE", "RADESYS", "RADECSYS")),
        ("EQUINOX", header_number, ("EQUI", "EQUINOX")),
        ("LONPOLE", header_number, ("LONP",)),
        ("LATPOLE", header_number, ("LATP",)),
    ]
    found = {}
    for card, read, (own, *others) in keys:
        values = [read(header, name, where) for name in (*(f"{own}{column}" for column in columns), *others)]
        found[card] = next((value for value in values if value not in (None, "")), None)
    return {card: value for card, value in found.items() if value is not None and (card, value) != ("EQUINOX", 0)}


def _refuse_matrix(header, columns, where):
    # TPn_k or TPCn_k stand for PCi_j, TCn_k or TCDn_k for CDi_j, T(P)Vn_m and T(P)Sn_m for PVi_m and PSi_m.
    for key in header:
        found = re.fullmatch(r"T(PC?|CD?|P?V|P?S)(\d+)_(\d+)", key)
        if found is None or int(found[2]) not in columns:
            continue
        value = header_number(header, key, where, default=0.0)
        is_identity = found[1] in ("P", "PC") and value == float(found[2] == found[3])
        if not is_identity:
            msg = (
                f"the sky columns have {key} = {value}: event lists with rotated or distorted sky coordinates "
                "cannot be read, but for a rotation in TCROTn; bin the list elsewhere and read the image cube."
            )
            raise ValueError(msg)
