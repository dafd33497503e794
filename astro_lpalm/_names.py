"""Which names components can have."""

import re

__all__ = ["RESERVED_NAMES", "check_component_names"]

# Names that are already taken by an extension or a column of the files.
RESERVED_NAMES = (
    "PRIMARY",
    "SPECTRA",
    "MIXING",
    "EBOUNDS",
    "RESIDUAL",
    "COUNTS",
    "MASK",
    "DIAGNOSTICS",
    "EXPOSURE",
    "BACKGROUND_MODEL",
    "BACKGROUND_IMAGE",
    "BACKGROUND_SPECTRUM",
    "COVARIANCE",
    "PARAMETERS",
    "LOCAL_BASIS",
    "LOCAL_COEFFICIENTS",
    "ENERGY_LO",
    "ENERGY_HI",
    "DATA",
)


def check_component_names(names):
    """Check names of components, which also name columns of tables and extensions of FITS files.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If a name cannot be used, is taken by another part of the files, or is given twice.
    """
    if isinstance(names, str):
        names = [names]
    names = tuple(str(name) for name in names)
    if not names:
        msg = "there are no component names; a separation has at least one component."
        raise ValueError(msg)
    for name in names:
        # At most 40 characters, so that the name fits wherever a FITS file or a figure shows it.
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", name):
            msg = (
                f"component name {name!r} cannot name a FITS extension and a column; use up to 40 letters, digits "
                "and underscores, a letter first."
            )
            raise ValueError(msg)
        if name.upper() in RESERVED_NAMES or name.upper().endswith(("_FLUX", "_ERR", "_SMOOTH", "_SAMPLES")):
            msg = (
                f"component name {name!r} is taken by a part of the file; the names not to use are {RESERVED_NAMES} "
                "and those that end in _FLUX, _ERR, _SMOOTH or _SAMPLES."
            )
            raise ValueError(msg)
    if len({name.upper() for name in names}) < len(names):
        msg = f"component names must differ in more than case, as FITS ignores it; they are {names}."
        raise ValueError(msg)
    return names
