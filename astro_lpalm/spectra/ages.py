"""Spectra that components in equilibrium would have if they had been heated only lately."""

import numpy as np

from .integration import Expression
from .nei import NEI
from .plasma import METALS
from .thermal import Thermal

__all__ = ["spectra_of_ages", "spectra_of_elements"]

_TAU = np.geomspace(1e10, 1e12, 5)  # s / cm3
_HOTTER = np.array([1.0, 1.6, 2.5])  # electrons of young plasma are hotter than its ions show
_ALL_TAU = np.append(np.geomspace(1e10, 1e12, 7), 1e14)
_ALL_KT = np.geomspace(0.15, 6.0, 12)  # keV


def spectra_of_ages(library, values):
    """Spectra of thermal components out of equilibrium, of several ages and temperatures.

    Parameters
    ----------
    library : SpectralLibrary
    values : dict
        Value of each parameter, by (component, name); the absorption is ("", "nh"). Those that are not there have the
        library's fixed ones.

    Returns
    -------
    dict of str to `~numpy.ndarray`
        For each component that is a `Thermal`, spectra of unit sum, shape (J, m).
    """
    tau, hotter = (each.ravel() for each in np.meshgrid(_TAU, _HOTTER))
    low, high = Thermal.kT.bounds
    found = {}
    for name, own in _thermal(library, values).items():
        kT = np.clip(own["kT"] * hotter, low, high)
        rates = _rates(library, values, own, {"kT": kT, "tau": tau})
        found[name] = rates / rates.sum(axis=1, keepdims=True)
    return found


def spectra_of_elements(library, values):
    """Spectra of hydrogen and helium, and of each other element, in plasma of several temperatures and ages.

    Parameters
    ----------
    library, values
        See `spectra_of_ages`; absorption and motions are those of the first component that is a `Thermal`.

    Returns
    -------
    `~numpy.ndarray`, shape (temperatures, ages, 12, m), or None
        Of unit emission measure and solar abundance; the last age is equilibrium. None if there is no such component.
    """
    for own in _thermal(library, values).values():
        kT, tau = (each.ravel() for each in np.meshgrid(_ALL_KT, _ALL_TAU, indexing="ij"))
        n = len(METALS) + 1
        columns = {"kT": np.repeat(kT, n), "tau": np.repeat(tau, n)}
        columns |= {metal: np.tile(np.arange(n) == k, len(kT)).astype(float) for k, metal in enumerate(METALS, start=1)}
        rates = _rates(library, values, own, columns).reshape(len(_ALL_KT), len(_ALL_TAU), n, -1)
        rates[:, :, 1:] -= rates[:, :, :1]
        return np.maximum(rates, 0.0)
    return None


def _thermal(library, values):
    """Values of all parameters of each component that is a `Thermal`, but for its ionization."""
    found = {}
    for component in library.components:
        model = getattr(getattr(component, "expression", None), "model", None)
        if isinstance(model, Thermal):
            own = dict(zip(model.param_names, model.plain_parameters))
            own |= {name: prior.low for name, prior in component.priors.items()}
            own |= {name: value for (owner, name), value in values.items() if owner == component.name}
            del own["ionization"]
            found[component.name] = own
    return found


def _rates(library, values, own, columns):
    """Count rates (J, m) of plasma out of equilibrium with other values in columns (J,)."""
    edges, fold = library._instrument(np.array([values.get(("", "nh"), library.nh.low)]))
    given = dict.fromkeys(METALS, 0.0) | own  # elements that the component has not stay out
    drawn = {name: np.full(len(columns["tau"]), value) for name, value in given.items()} | columns
    return fold(Expression(NEI).photons(edges, drawn))
