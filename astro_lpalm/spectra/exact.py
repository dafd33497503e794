"""Exact spectra of a component as functions of its physical parameters."""

from dataclasses import replace

import numpy as np

from .parameters import SCALES, FreeParameter
from .thermal import Thermal
from .thermal_emulator import tabulated_temperatures

__all__ = ["ExactSpectra", "free_parameter", "in_even_scale"]

_STEP = 1e-4  # of scaled parameters, for finite differences
_ROUNDING = 1e-9
_KNOT = 1e-6  # of a range: nearer to its end there is no knot
_N_ALONG = 7  # points of a range at which spectra are compared, to choose the scale


class ExactSpectra:
    """Exact spectra of a component, of scaled parameters: its own, then the absorption that is shared."""

    def __init__(self, library, component, own, shared):
        self.library, self.component, self.own, self.shared = library, component, own, shared
        self.is_absorbed = shared is not None
        self.edges, _ = library._instrument(np.array([library.nh.low]))
        self.fixed = {name: prior.low for name, prior in component.priors.items() if prior.low == prior.high}

    @property
    def knots(self):
        """Where the spectra have kinks: the temperatures at which those of a plasma are tabulated."""
        expression, names = self.component.expression, [each.name for each in self.own]
        found = {}
        for k, each in enumerate(self.own):
            place = expression.names.index(each.name)
            part, name = expression.parts[place]
            if name != "kT" or not isinstance(part, Thermal):
                continue
            after = part.param_names.index("ionization") - part.param_names.index("kT")
            ionization = expression.names[place + after]
            if ionization in names:
                continue
            ratio = self.fixed.get(ionization, float(part.ionization.value))
            inside = each.scaled(tabulated_temperatures() / ratio)
            inside = inside[(inside > _KNOT) & (inside < 1 - _KNOT)]
            found[k] = np.concatenate([[0.0], np.sort(inside), [1.0]])
        return found

    def photons(self, x):
        """Photons in narrow bins of true energy, (N, f), of own scaled parameters (N, q)."""
        drawn = {each.name: each.value(column) for each, column in zip(self.own, x.T)}
        fixed = {name: np.full(len(x), value) for name, value in self.fixed.items()}
        return self.component.expression.photons(self.edges, drawn | fixed)

    def fold(self, photons, y):
        """Count rates (N, m) of photons, absorbed by columns of scaled density (N,)."""
        nh = np.array([self.library.nh.low]) if y is None else self.shared.value(y)
        _, fold = self.library._instrument(nh)
        return fold(photons)

    def rates(self, x):
        """Count rates (N, m) of scaled parameters (N, p)."""
        if not self.is_absorbed:
            return self.fold(self.photons(x), None)
        return self.fold(self.photons(x[:, :-1]), x[:, -1])

    total = rates

    def jacobian(self, x):
        """Rates (m,) and their derivatives (m, p), by central differences within the range."""
        steps = np.eye(len(x)) * _STEP
        high, low = np.minimum(x + steps, 1.0), np.maximum(x - steps, 0.0)
        rate, *rates = self.rates(np.vstack([x, high, low]))
        rates = np.array(rates)
        return rate, ((rates[: len(x)] - rates[len(x) :]) / (high - low).sum(axis=1)[:, np.newaxis]).T


def in_even_scale(library, component, own, chosen, shared):
    """Give a parameter the scale in which the component's rates change most evenly over its range."""
    scales = [scale for scale in SCALES if scale == "linear" or chosen.low > 0 or (scale, chosen.low) == ("square", 0)]
    trials = [replace(chosen, scale=scale) for scale in scales]
    k, along = own.index(chosen), np.linspace(0, 1, _N_ALONG)
    x = np.full((_N_ALONG, len(own) + (shared is not None)), 0.5)
    x[:, k] = along
    bends = []
    for trial in trials:
        rates = ExactSpectra(library, component, [*own[:k], trial, *own[k + 1 :]], shared).rates(x)
        if trial is trials[0] and np.abs(np.diff(rates, 2, axis=0)).max() < _ROUNDING * rates.max():
            return trial  # what is linear can be kept as it is
        spectra = rates / rates.sum(axis=1, keepdims=True)
        middle = spectra.mean(axis=0)
        bends.append(np.sum(np.diff(spectra, 2, axis=0) ** 2 / np.maximum(middle, 1e-6 * middle.max())))
    return trials[0 if bends[0] < 2 * min(bends) else int(np.argmin(bends))]


def free_parameter(component, name, unit, prior):
    """Give a parameter of a component's model the range of its prior."""
    return FreeParameter(component, name, unit, prior.low, prior.high, prior.scale)
