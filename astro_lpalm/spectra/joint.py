"""Spectra of the same components in several observations, each through its own response."""

from dataclasses import replace

import numpy as np

from .parameters import FreeParameter

__all__ = ["JointSpectra"]

_RESPONSE = "response"  # the component that errors of a response are called: each observation has its own


class JointSpectra:
    """Spectra of several observations as one: their bins one after the other, of unit sum over all of them.

    To be fitted in place of the `ParametricSpectra` that it is made of, which have the same parameters. Errors of the
    response (`ResponseErrors`) belong to each observation, and are taken as independent.

    Parameters
    ----------
    models : sequence of ParametricSpectra or ResponseErrors
        Of each observation, with the same components and parameters.
    weights : array_like, shape (o,) or (o, n)
        What the rates of each observation are multiplied by: exposure times, or those of each component.
    summed : bool
        Whether the counts of the observations are added bin by bin, as in a stack, instead of standing one after the
        other.

    Raises
    ------
    ValueError
        If the models do not have the same parameters and components, or a weight is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.spectra import JointSpectra
    >>> physics = load_model("pwn-acis").physics
    >>> joint = JointSpectra([physics, physics], [30e3, 10e3])
    >>> spectra = joint.spectra(np.full(10, 0.5))
    >>> spectra.shape
    (130, 2)
    >>> spectra[:65].sum(axis=0).round(6)
    array([0.75, 0.75])
    """

    def __init__(self, models, weights, *, summed=False):
        self.models, self.summed = tuple(models), summed
        first = self.models[0]
        self.component_names, self.amplitude_units = first.component_names, first.amplitude_units
        shared, rest, self._places = _shared(first), [], []
        for number, model in enumerate(self.models, start=1):
            if model.component_names != first.component_names or not _same(_shared(model), shared):
                msg = (
                    f"observation {number} has other components or parameters than the first: {model!r}, {first!r}; "
                    "make all of them of one model, by model.through(instrument)."
                )
                raise ValueError(msg)
            own = model.parameters[len(shared) :]
            start = len(shared) + len(rest)
            self._places.append(np.r_[: len(shared), start : start + len(own)])
            rest += [
                FreeParameter(_RESPONSE, f"{each.name}_{number}", each.unit, each.low, each.high, each.scale)
                for each in own
            ]
        self.parameters = (*shared, *rest)
        weights = np.asarray(weights, dtype=float)
        n = len(self.component_names)
        if weights.shape not in ((len(models),), (len(models), n)) or not (weights >= 0).all() or not weights.any():
            msg = (
                f"weights are {weights.tolist()}, but must be numbers that are not negative, one for each of the "
                f"{len(models)} observations or one for each of its {n} components, such as exposure times."
            )
            raise ValueError(msg)
        self.weights = np.broadcast_to(weights if weights.ndim == 2 else weights[:, np.newaxis], (len(models), n))

    @property
    def bounds(self):
        """Lower and upper bounds of the scaled parameters, shape (2, p)."""
        return np.array([np.zeros(len(self.parameters)), np.ones(len(self.parameters))])

    def values(self, theta):
        """Physical values of scaled parameters, as `ParametricSpectra.values`."""
        columns = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        return np.stack([each.value(x) for each, x in zip(self.parameters, columns)], axis=-1)

    def scaled(self, values):
        """Scaled parameters of physical values, the inverse of `values`."""
        columns = np.moveaxis(np.asarray(values, dtype=float), -1, 0)
        return np.stack([each.scaled(value) for each, value in zip(self.parameters, columns)], axis=-1)

    def slopes(self, theta):
        """Differentiate each physical value in its scaled parameter: shape (p,)."""
        return np.array([float(each.slope(x)) for each, x in zip(self.parameters, theta)])

    def of_one(self, number, theta):
        """Give the parameters of all, (p,), where those of one observation, counted from 0, are known."""
        found = np.full(len(self.parameters), 0.5)
        for place, own, x in zip(self._places[number], self.models[number].parameters, theta):
            found[place] = self.parameters[place].scaled(own.value(x))
        return found

    def _parts(self, theta):
        """Walk through the observations: model, places, its own parameters (..., p) and their derivatives (p,).

        A model chooses the scale of a parameter, such as its logarithm, by its response.
        """
        theta = np.asarray(theta, dtype=float)
        for model, places in zip(self.models, self._places):
            own, slopes = theta[..., places], np.ones(len(places))
            for i, (place, parameter) in enumerate(zip(places, model.parameters)):
                if parameter.scale != self.parameters[place].scale:
                    own[..., i] = parameter.scaled(self.parameters[place].value(theta[..., place]))
                    if theta.ndim == 1:
                        slopes[i] = self.parameters[place].slope(theta[place]) / parameter.slope(own[i])
            yield model, places, own, slopes

    def penalty(self, theta):
        """Value, gradient (p,) and curvature (p,) of what is known beforehand of the responses' errors."""
        value, (gradient, curvature) = 0.0, np.zeros((2, len(theta)))
        for model, places, own, _ in self._parts(theta):
            if hasattr(model, "penalty"):  # which is zero but for errors of responses, whose scale is one
                more, slope, bend = model.penalty(own)
                value += more
                gradient[places] += slope
                curvature[places] += bend
        return value, gradient, curvature

    def rates(self, theta):
        """Count rates of unit amplitude of each model, (..., m, n), times the weights of the observations."""
        parts = zip(self.weights, self._parts(theta))
        return self._gathered([weight * model.rates(own) for weight, (model, _, own, _) in parts], axis=-2)

    def spectra(self, theta):
        """Spectra of unit sum over all observations, (..., m, n)."""
        rates = self.rates(theta)
        return rates / rates.sum(axis=-2, keepdims=True)

    def energy_flux(self, theta):
        """Energy fluxes of unit amplitude, which are those of the sky; see `ParametricSpectra.energy_flux`."""
        model, _, own, _ = next(self._parts(theta))
        return model.energy_flux(own)

    def jacobian(self, theta):
        """Spectra of unit sum, (m, n), and their derivatives, (m, n, p)."""
        made, slopes = [], []
        for weight, (model, places, own, inner) in zip(self.weights, self._parts(theta)):
            rates, derivatives = model.rate_jacobian(own)
            made.append(weight * rates)
            slopes.append(np.zeros((*rates.shape, len(self.parameters))))
            slopes[-1][..., places] = weight[:, np.newaxis] * derivatives * inner
        rates, derivatives = self._gathered(made, axis=0), self._gathered(slopes, axis=0)
        total = rates.sum(axis=0)
        spectra = rates / total
        return spectra, (derivatives - spectra[..., np.newaxis] * derivatives.sum(axis=0)) / total[:, np.newaxis]

    def _gathered(self, parts, axis):
        return sum(parts) if self.summed else np.concatenate(parts, axis=axis)

    def __repr__(self):
        how = "added" if self.summed else "together"
        return f"<JointSpectra: {len(self.models)} observations {how}; {self.models[0]!r}>"


def _shared(model):
    return tuple(each for each in model.parameters if each.component != _RESPONSE)


def _same(some, others):
    """Whether parameters are the same, in whatever scales."""
    return [replace(each, scale="linear") for each in some] == [replace(each, scale="linear") for each in others]
