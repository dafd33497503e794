"""Units of energy as the columns of real files spell them: one reader for all."""

import astropy.units as u

__all__ = ["energy_unit"]

# astropy knows no KEV, and tells MeV from meV by the case alone, which files do not keep to.
_SPELLINGS = {"ev": u.eV, "kev": u.keV, "mev": u.MeV, "gev": u.GeV, "tev": u.TeV}


def energy_unit(text):
    """Read a unit of energy, whatever its case.

    Parameters
    ----------
    text : str or `~astropy.units.UnitBase`
        Such as TUNITn of a column.

    Returns
    -------
    unit : `~astropy.units.UnitBase` or None
        None where it is not one of energy.

    Examples
    --------
    >>> from astro_lpalm.grid.units import energy_unit
    >>> energy_unit("KEV")
    Unit("keV")
    """
    text = str(text).strip()
    if text.lower() in _SPELLINGS:
        return _SPELLINGS[text.lower()]
    try:
        unit = u.Unit(text)
    except ValueError:
        return None
    return unit if unit.is_equivalent(u.eV) else None
