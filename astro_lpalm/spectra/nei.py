"""Spectra of hot, optically thin plasma whose ions are not in equilibrium with its electrons."""

import astropy.units as u
from astropy.modeling import Parameter

from .plasma import Plasma

__all__ = ["NEI", "PlaneShock"]

_TAU = u.s / u.cm**3
_RANGE = {"default": 1e11, "bounds": (1e8, 1e14)}


class NEI(Plasma):
    """A plasma that was brought to a temperature at once, a while ago: its ions are still on their way to equilibrium.

    All ions are singly ionized at the start, or in equilibrium at ``initial_kT``; where that is above ``kT``, they
    recombine. Their fractions are those of `ion_fractions`, and what each ion emits is that of electrons of ``kT``:
    excitation, recombination, and lines that follow ionization of an inner shell.

    Parameters
    ----------
    amplitude : float or `~astropy.units.Quantity`
        Emission measure, 1e-14 / (4 pi D^2) times the integral of n_e n_H over the volume (cm-5).
    kT : float or `~astropy.units.Quantity`
        Temperature of the electrons, keV, constant.
    C, N, O, Ne, Mg, Si, S, Ar, Ca, Fe, Ni : float
        Abundances relative to solar (Anders & Grevesse 1989, or those of `relative_to`).
    velocity : float or `~astropy.units.Quantity`
        Of the lines, km/s, positive when receding.
    sigma : float or `~astropy.units.Quantity`
        Standard deviation of the velocities of the lines, km/s.
    tau : float or `~astropy.units.Quantity`
        Density of electrons times the time since, s / cm3. From about 1e13 on all ions are in equilibrium.
    initial_kT : float or `~astropy.units.Quantity`
        Temperature of the equilibrium at the start, keV, 0.01 or more; 0, as by default, for singly ionized atoms.

    Examples
    --------
    Silicon of an old and of a young plasma: the lines of H-like ions, at 2 keV, come late.

    >>> from astro_lpalm.spectra import NEI, integrate
    >>> old, young = (integrate(NEI(kT=2.0, tau=tau), [1.8, 1.95, 2.05]) for tau in (1e13, 3e10))
    >>> print((old / old[0]).round(1), (young / young[0]).round(1))
    [1. 1.] [1.  0.1]
    """

    __init__ = Plasma.__init__  # astropy would make one that takes the parameters below only
    history = "tau", "initial_kT"
    tau = Parameter(**_RANGE, description="density of electrons times time, s / cm3")
    initial_kT = Parameter(default=0.0, fixed=True, bounds=(0, 80.0), description="at the start, keV")
    parameter_units = {**Plasma.parameter_units, "tau": _TAU, "initial_kT": u.keV}  # noqa: RUF012


class PlaneShock(Plasma):
    """The plasma behind a plane shock: that of all ages up to the oldest, in equal parts.

    Parameters
    ----------
    amplitude, kT, C, N, O, Ne, Mg, Si, S, Ar, Ca, Fe, Ni, velocity, sigma
        See `NEI`.
    tau_u : float or `~astropy.units.Quantity`
        Density of electrons times the time since the first gas was shocked, s / cm3: the fractions of ions are the mean
        of those of `NEI` over ``tau`` from 0 to this.

    Examples
    --------
    >>> from astro_lpalm.spectra import NEI, PlaneShock, integrate
    >>> shock, its_oldest = integrate(PlaneShock(tau_u=1e11), [0.7, 1.0]), integrate(NEI(tau=1e11), [0.7, 1.0])
    """

    __init__ = Plasma.__init__
    history = ("tau",)
    is_mean = True
    tau_u = Parameter(**_RANGE, description="density of electrons times time of the oldest gas, s / cm3")
    parameter_units = {**Plasma.parameter_units, "tau_u": _TAU}  # noqa: RUF012
