"""The missions that are known: those of this package, and those that other installed packages register."""

import warnings
from functools import cache
from importlib.metadata import entry_points

from astropy.utils.exceptions import AstropyUserWarning

from .chandra import ACIS, HRC
from .einstein_probe import EP_FXT
from .erosita import EROSITA
from .ixpe import IXPE
from .mission import Mission
from .nustar import NUSTAR
from .rosat import ROSAT_HRI, ROSAT_PSPC
from .suzaku import SUZAKU_XIS
from .swift import SWIFT_XRT
from .xmm import EPIC_MOS, EPIC_PN
from .xrism import RESOLVE, XTEND

__all__ = ["find", "known_missions"]

_GROUP = "astro_lpalm.missions"
# Found also where the package runs from a checkout, whose entry points are not installed.
_OURS = (
    ACIS, EPIC_MOS, EPIC_PN, EP_FXT, EROSITA, HRC, IXPE, NUSTAR, RESOLVE, ROSAT_HRI, ROSAT_PSPC, SUZAKU_XIS, SWIFT_XRT,
    XTEND,
)  # fmt: skip


def find(header, where: str = "the header") -> Mission | None:
    """Find the mission and instrument whose file a header is of.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or mapping
        With TELESCOP and INSTRUME.
    where : str
        What the header belongs to, for messages.

    Returns
    -------
    mission : Mission or None
        Of `known_missions` the one that matches, that of another package before our own; None where none does.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        As `known_missions`.

    Examples
    --------
    >>> from astro_lpalm.missions import find
    >>> acis = find({"TELESCOP": "CHANDRA", "INSTRUME": "ACIS"})
    >>> acis.name
    'Chandra ACIS'
    >>> print(acis.energies([1, 500, 1024]))
    [0.0073 7.2927    inf] keV
    >>> find({"TELESCOP": "XMM", "INSTRUME": "EMOS1"}).name
    'XMM-Newton EPIC MOS'
    >>> print(find({"TELESCOP": "EP", "INSTRUME": "WXT"}))
    None
    """
    return next((mission for mission in reversed(known_missions()) if mission.matches(header, where)), None)


@cache
def known_missions() -> tuple[Mission, ...]:
    """Give the missions that are known, those of this package first.

    Returns
    -------
    missions : tuple of Mission
        With those that installed packages name in the entry-point group ``astro_lpalm.missions``. They are loaded once,
        when first asked for.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If an entry point cannot be loaded, or is no `Mission`: it is left out.

    Examples
    --------
    >>> from astro_lpalm.missions import known_missions
    >>> [mission.name for mission in known_missions() if mission.telescope == "CHANDRA"]
    ['Chandra ACIS', 'Chandra HRC']
    """
    missions = list(_OURS)
    for point in entry_points(group=_GROUP):
        try:
            mission = point.load()
        except Exception as error:  # other people's code: whatever it raises, lists of other missions can be read
            _warn(point, f"cannot be loaded ({type(error).__name__}: {error})")
            continue
        if not isinstance(mission, Mission):
            _warn(point, f"is of type {type(mission).__name__}, not a Mission")
        elif not any(mission is other for other in missions):
            missions.append(mission)
    return tuple(missions)


def _warn(point, problem):
    msg = (
        f"the mission {point.name} = '{point.value}', registered in the entry-point group {_GROUP}, {problem}; it is "
        "left out. Mend or uninstall the package that registers it."
    )
    warnings.warn(msg, AstropyUserWarning, stacklevel=4)
