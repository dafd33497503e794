"""Abundances of elements, by those who published them."""

from ..data import read_table

__all__ = ["solar_abundances"]


def solar_abundances(name="anders_grevesse"):
    """Abundances of elements by number, relative to hydrogen.

    Parameters
    ----------
    name : {"anders_grevesse", "wilms", "lodders"}
        Anders & Grevesse (1989), which abundances in `Thermal` are relative to; the interstellar ones of Wilms et al.
        (2000), which `TBAbs` has; the solar photosphere of Lodders (2003). XSPEC: ``angr``, ``wilm``, ``lodd``.

    Returns
    -------
    abundances : dict of str to float
        By symbol: H, He, C, N, O, Ne, Na, Mg, Al, Si, P, S, Cl, Ar, Ca, Cr, Mn, Fe, Co and Ni.

    Raises
    ------
    ValueError
        If there is no such list.

    Examples
    --------
    >>> from astro_lpalm.spectra import solar_abundances
    >>> solar_abundances()["Fe"], solar_abundances("wilms")["Fe"]
    (4.68e-05, 2.69e-05)
    """
    table = read_table("abundances")
    names = table.colnames[1:]
    if name not in names:
        msg = f"there is no list of abundances {name!r}; choose from {', '.join(names)}."
        raise ValueError(msg)
    return dict(zip(table["element"].tolist(), table[name].tolist()))
