"""Spectra of a thermal plasma, tabulated: lines and continuum apart, each over what it depends on."""

import numpy as np

from ._plasma import continuum_table, line_table
from .base import quadrature_with_jumps
from .emulator import SpectrumEmulator
from .line import add_line, line_as_seen
from .thermal import Thermal

__all__ = ["ThermalEmulator"]

_TEMPERATURES = "kT", "ionization"
_MOTIONS = "velocity", "sigma"
_ABUNDANCES = Thermal.param_names[2:10]


class ThermalEmulator:
    """Interpolate the spectra of a `Thermal` component.

    Its lines depend on the temperature of the ions, ``kT * ionization``, on the abundances and the motions; its
    continuum on the temperatures of electrons and ions, and on the abundances. Emissivities are tabulated functions of
    the temperature of the ions, smooth only between the tabulated ones. So the sum of a `SpectrumEmulator` of each,
    with pieces between these temperatures, is far smaller than one emulator of both. Make one with `tabulate`.

    Parameters
    ----------
    lines, continuum : SpectrumEmulator
    parameters : list of FreeParameter
        The component's own.
    is_absorbed : bool
        Whether there is one more, the shared absorption.
    fixed : dict
        Values of ``kT`` and ``ionization`` where they are not free.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> physics = load_model("pwn-acis").physics
    >>> emulator, places = physics.sources[1], physics.places[1]
    >>> type(emulator).__name__, [physics.parameters[place].name for place in places]
    ('ThermalEmulator', ['kT', 'ionization', 'O', 'Ne', 'Mg', 'Si', 'S', 'Fe', 'nh'])
    >>> emulator.rates(np.full((100, len(places)), 0.5)).shape
    (100, 65)
    """

    def __init__(self, lines, continuum, parameters, is_absorbed, fixed):
        self.lines, self.continuum = lines, continuum
        self.frame = _Frame(parameters, is_absorbed, fixed)

    @property
    def n_numbers(self):
        """How many numbers it is made of."""
        return self.lines.n_numbers + self.continuum.n_numbers

    def rates(self, x):
        """Count rates (N, m) of scaled parameters (N, p), of unit amplitude."""
        return self.lines.rates(self.frame.lines(x)) + self.continuum.rates(self.frame.continuum(x))

    def jacobian(self, x):
        """Rates (m,) and their derivatives (m, p) in the scaled parameters (p,)."""
        lines, by_lines = self.lines.jacobian(self.frame.lines(x[np.newaxis])[0])
        continuum, by_continuum = self.continuum.jacobian(self.frame.continuum(x[np.newaxis])[0])
        to_lines, to_continuum = self.frame.slopes(x)
        return lines + continuum, by_lines @ to_lines + by_continuum @ to_continuum

    @classmethod
    def tabulate(cls, source, parameters, *, tolerance=1e-4, seed=0):
        """Tabulate a component's exact spectra.

        Parameters
        ----------
        source : object
            Exact spectra, as `ParametricSpectra` has them.
        parameters : list of FreeParameter
            The component's own.
        tolerance, seed
            See `SpectrumEmulator.tabulate`.

        Returns
        -------
        ThermalEmulator or None
            None where it would be too large or too wrong.
        """
        model = source.component.expression.model
        values = dict(zip(model.param_names, model.plain_parameters)) | source.fixed
        fixed = {name: float(values[name]) for name in _TEMPERATURES if name not in [each.name for each in parameters]}
        frame = _Frame(parameters, source.is_absorbed, fixed)
        made = []
        for kind in (_Continuum, _Lines):
            part = kind(frame, source, values)
            emulator = SpectrumEmulator.tabulate(part, part.n_parameters, tolerance=tolerance, seed=seed)
            if emulator is None:
                return None
            made.append(emulator)
        return cls(*made[::-1], parameters, source.is_absorbed, fixed)

    def to_hdus(self, name):
        """Keep it in tables of a FITS file, two `~astropy.io.fits.BinTableHDU`."""
        hdus = [self.lines.to_hdu(name), self.continuum.to_hdu(f"{name}C")]
        for key, value in self.frame.fixed.items():
            hdus[0].header[key[:8].upper()] = (value, "of the model, not free")
        return hdus

    @classmethod
    def from_hdus(cls, lines, continuum, parameters, is_absorbed):
        """Read what `to_hdus` made; the parameters are the component's own."""
        fixed = {key: lines.header[key[:8].upper()] for key in _TEMPERATURES if key[:8].upper() in lines.header}
        parts = (SpectrumEmulator.from_hdu(hdu) for hdu in (lines, continuum))
        return cls(*parts, parameters, is_absorbed, fixed)


def tabulated_temperatures():
    """Temperatures of the ions (keV) between which emissivities are smooth."""
    return np.exp(np.unique(np.concatenate([line_table().log_kT, continuum_table().log_kT])))


class _Frame:
    """Between the component's scaled parameters and the coordinates of lines and continuum."""

    def __init__(self, parameters, is_absorbed, fixed):
        self.parameters, self.is_absorbed, self.fixed = list(parameters), is_absorbed, fixed
        names = [each.name for each in self.parameters]
        self.hot = {name: names.index(name) for name in _TEMPERATURES if name in names}
        both = len(self.hot) == 2
        last = [len(names)] if is_absorbed else []
        # places of the component's parameters; -1 is the temperature of the ions
        ions = [-1] if self.hot else []
        amounts = [k for k, name in enumerate(names) if name in _ABUNDANCES]
        motions = [k for k, name in enumerate(names) if name in _MOTIONS]
        self.places_of_lines = [*ions, *amounts, *motions, *last]
        # With their ratio, rather than that of the electrons: so the grid has nothing the ranges do not allow, such as
        # cold electrons among the ions of a hot plasma, whose recombination is another world.
        self.places_of_continuum = [*([self.hot["ionization"]] if both else []), *ions, *amounts, *last]
        ends = [
            [
                getattr(self.parameters[self.hot[name]], end) if name in self.hot else fixed[name]
                for name in _TEMPERATURES
            ]
            for end in ("low", "high")
        ]
        self.low, self.high = np.log(np.prod(ends, axis=1))

    def ions(self, x):
        """Coordinate of the temperature of the ions, 0 to 1."""
        logs = [np.log(self.parameters[k].value(x[..., k])) for k in self.hot.values()]
        logs += [np.log(value) for value in self.fixed.values()]
        return (sum(logs) - self.low) / (self.high - self.low)

    def lines(self, x):
        return self._take(x, self.places_of_lines)

    def continuum(self, x):
        return self._take(x, self.places_of_continuum)

    def _take(self, x, places):
        return np.stack([self.ions(x) if place < 0 else x[..., place] for place in places], axis=-1)

    def slopes(self, x):
        """Differentiate the coordinates of lines and of continuum in the parameters."""
        made = []
        for places in (self.places_of_lines, self.places_of_continuum):
            slopes = np.zeros((len(places), len(x)))
            for row, place in enumerate(places):
                if place >= 0:
                    slopes[row, place] = 1.0
                    continue
                for k in self.hot.values():
                    each = self.parameters[k]
                    slopes[row, k] = each.slope(x[k]) / each.value(x[k]) / (self.high - self.low)
            made.append(slopes)
        return made

    def values(self, coordinates, places):
        """Physical values by name of coordinates (N, q), without the absorption."""
        values = {}
        for column, place in zip(coordinates.T, places):
            if place < 0:
                values["ions"] = np.exp(self.low + (self.high - self.low) * column)
            elif place < len(self.parameters):
                each = self.parameters[place]
                values[each.name] = each.value(column)
        if not self.hot:
            values["ions"] = np.full(len(coordinates), np.exp(self.low))
        if len(self.hot) == 2 and "ionization" in values:
            values["kT"] = values["ions"] / values["ionization"]
        elif "kT" not in values:
            # of lines alone, which do not depend on it: what they are compared with is taken at the middle
            both = len(self.hot) == 2
            kT = self.parameters[self.hot["kT"]].value(0.5) if both else self.fixed.get("kT", 0.0)
            values["kT"] = np.full(len(coordinates), kT) if kT else values["ions"] / self.fixed["ionization"]
        return values


class _Part:
    """Lines or continuum, as `SpectrumEmulator.tabulate` takes it."""

    def __init__(self, frame, source, values):
        self.frame, self.source, self.others = frame, source, values
        self.is_absorbed, self.fold = source.is_absorbed, source.fold
        self.places = self.places_of(frame)
        self.n_parameters = len(self.places)
        self.knots = {}
        if -1 in self.places:
            logs = np.log(tabulated_temperatures())
            inside = logs[(logs > frame.low + 1e-6) & (logs < frame.high - 1e-6)]
            inside = (inside - frame.low) / (frame.high - frame.low)
            self.knots[self.places.index(-1)] = np.concatenate([[0.0], inside, [1.0]])

    def columns(self, x):
        values = self.frame.values(x, self.places)
        values = {name: values.get(name, np.full(len(x), self.others.get(name))) for name in (*self.others, "ions")}
        return {name: np.reshape(column, (-1, 1)) for name, column in values.items() if name != "ionization"}

    def photons(self, x):
        return self.emission(self.columns(x))

    def total(self, x):
        return self._rates(x, lambda columns: _emitted_lines(self.source.edges, columns) + self._emitted(columns))

    def _rates(self, x, emission):
        y = x[:, -1] if self.is_absorbed else None
        return self.fold(emission(self.columns(x[:, : x.shape[1] - self.is_absorbed])), y)

    def _emitted(self, columns):
        return _emitted_continuum(self.source.edges, columns)


class _Lines(_Part):
    def places_of(self, frame):
        return frame.places_of_lines

    def emission(self, columns):
        return _emitted_lines(self.source.edges, columns)


class _Continuum(_Part):
    def places_of(self, frame):
        return frame.places_of_continuum

    def emission(self, columns):
        return self._emitted(columns)

    def total(self, x):
        return self._rates(x, self._emitted)


def _emitted_lines(edges, columns):
    flux = np.zeros((len(columns["ions"]), len(edges) - 1))
    amounts = [columns[name] for name in _ABUNDANCES]
    for strength, rest in Thermal.lines(columns["amplitude"], columns["ions"], amounts):
        add_line(flux, edges, strength, *line_as_seen(rest, columns["velocity"], columns["sigma"]))
    return flux


def _emitted_continuum(edges, columns):
    amounts = [columns[name] for name in _ABUNDANCES]
    kT, ratio = columns["kT"], columns["ions"] / columns["kT"]

    def continuum(energy):
        return Thermal.continuum(energy, columns["amplitude"], kT, *amounts, ionization=ratio)

    return quadrature_with_jumps(continuum, edges, continuum_table().energies)
