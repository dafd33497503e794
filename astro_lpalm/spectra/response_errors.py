"""Spectra seen through a response that is not quite known: errors of its gain and of its effective area."""

import astropy.units as u
import numpy as np

from .parameters import FreeParameter

__all__ = ["ResponseErrors"]

_REACH = 5.0  # standard deviations on each side of none, which is the range of an error
_N_NODES = 5  # of the area's error, evenly over the logarithm of the energy and linear between
_RESPONSE = "response"
_LEAST_LEFT = 0.05  # of the counts of a bin, whatever leaves it


class ResponseErrors:
    """Spectra of physical parameters and of the errors of the response, with what is known of these beforehand.

    To be fitted in place of the `ParametricSpectra` that it is made of: parameters and fluxes then have errors in which
    those of the response are, and the data say what they can of these. All components share them.

    Parameters
    ----------
    physics : ParametricSpectra
    energy_edges : `~astropy.units.Quantity`, shape (m + 1,)
        Of the spectra's bins.
    gain : float
        Standard deviation of the relative error of energies, such as 0.003; 0 for none.
    area : float
        That of the effective area, such as 0.03, at each of five energies between which it is interpolated; 0 for none.

    Raises
    ------
    ValueError
        If both are 0, one is negative, or above 0.1, where they would be no small errors any more.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.spectra import ResponseErrors
    >>> model = load_model("pwn-acis")
    >>> spectra = ResponseErrors(model.physics, model.energy_edges, gain=0.003)
    >>> spectra.parameters[-1]
    FreeParameter(component='response', name='gain', unit='', low=-0.015, high=0.015, scale='linear')
    """

    def __init__(self, physics, energy_edges, *, gain=0.0, area=0.0):
        for name, value in (("gain", gain), ("area", area)):
            if not 0 <= value <= 0.1:
                msg = f"the error of the {name} is {value!r}, but must be a relative one from 0 to 0.1, such as 0.003."
                raise ValueError(msg)
        if not gain and not area:
            msg = "neither the gain nor the area has an error; give one of them, or take the spectra as they are."
            raise ValueError(msg)
        self.physics, self.component_names = physics, physics.component_names
        self.amplitude_units = physics.amplitude_units
        edges = u.Quantity(energy_edges).to_value(u.keV)
        names, widths, self._operators = [], [], []
        if gain:
            names, widths, self._operators = ["gain"], [gain], [_shift(edges)]
        if area:
            nodes = np.geomspace(edges[0], edges[-1], _N_NODES)
            middle = np.sqrt(edges[1:] * edges[:-1])
            hats = [np.interp(np.log(middle), np.log(nodes), row) for row in np.eye(_N_NODES)]
            names += [f"area_{node:.2g}keV" for node in nodes]
            widths += [area] * _N_NODES
            self._operators += [np.diag(hat) for hat in hats]
        ends = [(_RESPONSE, name, "", -_REACH * width, _REACH * width) for name, width in zip(names, widths)]
        self.parameters = (*physics.parameters, *(FreeParameter(*each) for each in ends))
        self._operators = np.array(self._operators)

    @property
    def bounds(self):
        """Lower and upper bounds of the scaled parameters, shape (2, p)."""
        return np.array([np.zeros(len(self.parameters)), np.ones(len(self.parameters))])

    def penalty(self, theta):
        """Value, gradient (p,) and curvature (p,) of what is known of the response's errors: that they are small."""
        curvature = np.zeros(len(self.parameters))
        curvature[len(self.physics.parameters) :] = (2 * _REACH) ** 2
        off = np.asarray(theta, dtype=float) - 0.5
        return 0.5 * np.sum(curvature * off**2), curvature * off, curvature

    def values(self, theta):
        """Physical values of scaled parameters, as `ParametricSpectra.values`."""
        own, errors = self._parts(theta)
        return np.concatenate([self.physics.values(own), errors], axis=-1)

    def scaled(self, values):
        """Scaled parameters of physical values, the inverse of `values`."""
        values, n = np.asarray(values, dtype=float), len(self.physics.parameters)
        errors = [each.scaled(value) for each, value in zip(self.parameters[n:], np.moveaxis(values[..., n:], -1, 0))]
        return np.concatenate([self.physics.scaled(values[..., :n]), np.stack(errors, axis=-1)], axis=-1)

    def slopes(self, theta):
        """Differentiate each physical value in its scaled parameter: shape (p,)."""
        return np.array([float(each.slope(x)) for each, x in zip(self.parameters, theta)])

    def rates(self, theta):
        """Count rates of unit amplitude, as `ParametricSpectra.rates`, through the response with its errors."""
        own, errors = self._parts(theta)
        rates = self.physics.rates(own)
        moved = np.einsum("...q,qij,...jk->...ik", errors, self._operators, rates, optimize=True)
        return np.maximum(rates + moved, _LEAST_LEFT * rates)

    def spectra(self, theta):
        """Spectra of unit sum, as `ParametricSpectra.spectra`."""
        rates = self.rates(theta)
        return rates / rates.sum(axis=-2, keepdims=True)

    def energy_flux(self, theta):
        """Energy fluxes of unit amplitude, which no response has a part in; see `ParametricSpectra.energy_flux`."""
        return self.physics.energy_flux(self._parts(theta)[0])

    def jacobian(self, theta):
        """Spectra of unit sum (m, n) and their derivatives (m, n, p)."""
        seen, moved = self._seen(theta, self.physics.jacobian)
        total = seen.sum(axis=0)
        unit = seen / total
        return unit, (moved - unit[..., np.newaxis] * moved.sum(axis=0)) / total[:, np.newaxis]

    def rate_jacobian(self, theta):
        """Count rates of unit amplitude (m, n) and their derivatives (m, n, p)."""
        return self._seen(theta, self.physics.rate_jacobian)

    def spectra_of_ages(self, theta):
        """Spectra of components in equilibrium, had they been heated only lately, seen without errors."""
        return self.physics.spectra_of_ages(self._parts(theta)[0])

    def spectra_of_elements(self, theta):
        """Spectra of the elements of plasma of several temperatures and ages, seen without errors."""
        return self.physics.spectra_of_elements(self._parts(theta)[0])

    def _seen(self, theta, jacobian):
        own, errors = self._parts(theta)
        spectra, derivatives = jacobian(own)
        through = np.eye(len(spectra)) + np.einsum("q,qij->ij", errors, self._operators)
        seen, least = through @ spectra, _LEAST_LEFT * spectra
        span = np.array([each.high - each.low for each in self.parameters[len(own) :]])
        moved = np.concatenate(
            [np.einsum("ij,jkp->ikp", through, derivatives), span * (self._operators @ spectra).transpose(1, 2, 0)],
            axis=2,
        )
        # To first order, more counts may leave a bin beside a line than are in it.
        held = seen < least
        seen, moved[held] = np.where(held, least, seen), 0.0
        moved[held, : len(own)] = _LEAST_LEFT * derivatives[held]
        return seen, moved

    def _parts(self, theta):
        theta, n = np.asarray(theta, dtype=float), len(self.physics.parameters)
        span = np.array([each.high - each.low for each in self.parameters[n:]])
        return theta[..., :n], (theta[..., n:] - 0.5) * span

    def __repr__(self):
        names = ", ".join(each.name for each in self.parameters[len(self.physics.parameters) :])
        return f"<ResponseErrors: {names}, of {self.physics!r}>"


def _shift(edges):
    """First order of what a relative error of energies does to counts: they go through the edges of bins."""
    m, width = len(edges) - 1, np.diff(edges)
    density = np.zeros((m + 1, m))  # at the edges, of counts in bins: the mean of the neighbours'
    inner = np.arange(1, m)
    density[inner, inner - 1], density[inner, inner] = 0.5 / width[:-1], 0.5 / width[1:]
    density[0, 0], density[m, m - 1] = 1 / width[0], 1 / width[-1]
    through = edges[:, np.newaxis] * density
    return through[:-1] - through[1:]
