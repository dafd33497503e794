"""Spectra of a component, tabulated over its parameters so that they cost microseconds."""

import numpy as np
from astropy.io import fits
from numpy.polynomial import chebyshev

__all__ = ["SpectrumEmulator"]

_MOST_NODES = 56  # Chebyshev nodes of a parameter in the search for how many it needs
_MOST_SPECTRA = 500_000  # of the whole grid; components that need more are not tabulated
_MOST_NODES_OF_PIECES = 7
_PHOTONS_AT_ONCE = 500
_SPECTRA_AT_ONCE = 256  # the products of a chunk stay in the processor's cache
_ROUNDING = 1e-9  # of the largest value: a parameter is linear if second differences are below this
_FAINT = 1e-6  # of the peak: fainter bins are interpolated in units of this
_RELEVANT = 1e-3  # of the peak: the tolerance is relative to brighter bins, and to this in the others
_N_PROBES, _N_CHECKS = 16, 200
_N_TRIALS = 10


class SpectrumEmulator:
    r"""Interpolate the spectra of one component between Chebyshev nodes of its parameters.

    Scaled parameters x lie in [0, 1]. Parameters in which the spectrum is linear, such as abundances, are kept as they
    are: exact. Along each of the others the spectrum at the middle of the ranges is followed in its logarithm, which
    gives a product of one factor a parameter, :math:`P_i(x)`; what the spectrum is in units of that is smooth and near
    one, and is a tensor over the nodes of all parameters, compressed to a tensor train (Oseledets 2011,
    doi:10.1137/090752286):

    .. math:: f_i(x) = P_i(x) \, w_0(u) G_0 \; w_1(x_1) G_1 \cdots w_K(x_K) G_{K,i},

    with :math:`w_k` the Chebyshev polynomials and :math:`w_0 = (1, u)` the linear parameters. Derivatives are those of
    the interpolation, exactly.

    Make one with `tabulate`.

    Parameters
    ----------
    is_linear : array_like of bool, shape (p,)
    knots : list of array_like
        Of each other parameter, where pieces of its range end: [0, 1] for one polynomial.
    reference : array_like, shape (1 + sum of nodes, m)
        Chebyshev coefficients of log P: a constant, then those of each other parameter.
    cores : list of array_like
        Of shape (rank, nodes, next rank): of the linear parameters together, then of each other. The last rank is m.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> physics = load_model("pwn-acis").physics
    >>> emulator, places = physics.sources[0], physics.places[0]
    >>> type(emulator).__name__, [physics.parameters[place].name for place in places]
    ('SpectrumEmulator', ['photon_index', 'nh'])
    >>> rates, derivatives = emulator.jacobian(np.full(len(places), 0.5))
    >>> rates.shape, derivatives.shape
    ((65,), (65, 2))
    """

    def __init__(self, is_linear, knots, reference, cores):
        self.is_linear = np.asarray(is_linear, dtype=bool)
        self.knots = [np.asarray(each, dtype=float) for each in knots]
        self.reference = np.asarray(reference, dtype=float)
        self.cores = [np.asarray(core, dtype=float) for core in cores]
        self._single = [core.astype(np.float32) for core in self.cores]
        self._single_reference = self.reference.astype(np.float32)

    @property
    def n_numbers(self):
        """How many numbers it is made of."""
        return self.reference.size + sum(core.size for core in self.cores)

    def rates(self, x):
        """Count rates of unit amplitude in each energy bin, computed in single precision.

        Parameters
        ----------
        x : array, shape (N, p)
            Scaled parameters.

        Returns
        -------
        `~numpy.ndarray`, shape (N, m)
        """
        rates = np.empty((len(x), self.reference.shape[1]))
        for start in range(0, len(x), _SPECTRA_AT_ONCE):
            chunk = slice(start, start + _SPECTRA_AT_ONCE)
            weights = [each.astype(np.float32) for each in self._weights(x[chunk])]
            rates[chunk] = _train(weights, self._single) * np.exp(self._log_factor(weights, self._single_reference))
        return np.maximum(rates, 0.0, out=rates)

    def jacobian(self, x):
        """Rates, and their derivatives in the scaled parameters, in double precision.

        Parameters
        ----------
        x : array, shape (p,)

        Returns
        -------
        rates : `~numpy.ndarray`, shape (m,)
        derivatives : `~numpy.ndarray`, shape (m, p)
        """
        u = 2 * x[self.is_linear] - 1
        others = np.flatnonzero(~self.is_linear)
        # rows: the product so far, then its derivatives in the parameters met so far
        rows = np.vstack([np.append(1.0, u), 2 * np.eye(1 + len(u))[1:]]) @ self.cores[0][0]
        log_factor, slopes, start = self.reference[0], [np.zeros_like(self.reference[0])] * len(u), 1
        for core, k, knots in zip(self.cores[1:], others, self.knots):
            first, value, slope = _one_piece(x[k], core.shape[1], knots)
            own = slice(first, first + len(value))
            both = np.array([value, slope]) @ core[:, own]  # (rank, 2, next rank)
            rows = np.vstack([rows @ both[:, 0], rows[0] @ both[:, 1]])
            reference = self.reference[start : start + core.shape[1]][own]
            log_factor = log_factor + value @ reference
            slopes.append(slope @ reference)
            start += core.shape[1]
        rows *= np.exp(log_factor)
        derivatives = np.empty((len(log_factor), len(x)))
        derivatives[:, [*np.flatnonzero(self.is_linear), *others]] = (rows[1:] + rows[0] * slopes).T
        return np.maximum(rows[0], 0.0), derivatives

    def _weights(self, x):
        weights = [np.hstack([np.ones((len(x), 1)), 2 * x[:, self.is_linear] - 1])]
        for core, column, knots in zip(self.cores[1:], x[:, ~self.is_linear].T, self.knots):
            weights.append(_polynomials(column, core.shape[1], knots))
        return weights

    @staticmethod
    def _log_factor(weights, reference):
        return np.hstack([weights[0][:, :1], *weights[1:]]) @ reference

    def _factor(self, weights):
        return np.exp(self._log_factor(weights, self.reference))

    @classmethod
    def tabulate(cls, source, n_parameters, *, tolerance=1e-4, seed=0):
        """Tabulate a component's exact spectra.

        Parameters
        ----------
        source : object
            ``source.photons(x)`` makes (N, f) photons of own scaled parameters (N, q); ``source.fold(photons, y)``
            makes (N, m) count rates of them, absorbed by a column of scaled density ``y``, which is the last of the
            p parameters where ``source.is_absorbed``; otherwise ``y`` is None. ``source.knots`` has, by the index of a
            parameter, the places between which spectra are smooth. ``source.total(x)`` gives the rates that errors
            are measured against, of which this may be a part.
        n_parameters : int
            p, with the shared column.
        tolerance : float
            Largest error in any bin above 1e-3 of the peak, relative to the spectrum, of 200 draws.
        seed : int
            Of the draws by which the grid is found and checked.

        Returns
        -------
        SpectrumEmulator or None
            None if the grid would be too large, or the error is larger with any grid tried: the spectra are not smooth.
        """
        rng = np.random.default_rng(seed)
        table = _Tabulation(source, n_parameters)
        x = rng.random((_N_CHECKS, n_parameters))
        exact, total = table.rates(x), source.total(x)
        table.find_linear(rng)
        for trial in range(_N_TRIALS):
            aim = 0.5 * tolerance / 2**trial
            emulator = table.emulator(cls, table.orders(aim, rng), aim)
            if emulator is None:
                return None
            if largest_error(emulator.rates(x) - exact, total) <= tolerance:
                return emulator
        return None

    def to_hdu(self, name):
        """Keep it in a table of a FITS file.

        Parameters
        ----------
        name : str
            Of the extension.

        Returns
        -------
        `~astropy.io.fits.BinTableHDU`
            A row for the reference, each core and each parameter's knots: its shape and its numbers, in
            single precision.
        """
        arrays = [self.reference[:, np.newaxis], *self.cores, *(each[:, np.newaxis, np.newaxis] for each in self.knots)]
        numbers = np.empty(len(arrays), dtype=object)
        numbers[:] = [array.ravel().astype(np.float32) for array in arrays]
        columns = [
            fits.Column("SHAPE", "3J", array=np.array([array.shape for array in arrays])),
            fits.Column("NUMBERS", "PE()", array=numbers),
        ]
        hdu = fits.BinTableHDU.from_columns(columns)
        hdu.header["EXTNAME"] = name
        for k, linear in enumerate(self.is_linear, start=1):
            hdu.header[f"LINEAR{k}"] = (bool(linear), "whether spectra are linear in it")
        return hdu

    def to_hdus(self, name):
        """Keep it in a list of one such table."""
        return [self.to_hdu(name)]

    @classmethod
    def from_hdu(cls, hdu):
        """Read what `to_hdu` made.

        Parameters
        ----------
        hdu : `~astropy.io.fits.BinTableHDU`

        Returns
        -------
        SpectrumEmulator
        """
        n = sum(key.startswith("LINEAR") for key in hdu.header)
        is_linear = [hdu.header[f"LINEAR{k + 1}"] for k in range(n)]
        reference, *arrays = (np.array(numbers).reshape(shape) for shape, numbers in hdu.data)
        n_others = n - sum(is_linear)
        knots = [each.ravel() for each in arrays[1 + n_others :]]
        return cls(is_linear, knots, reference[:, 0], arrays[: 1 + n_others])


def largest_error(error, total):
    """Relative error in any bin above 1e-3 of the peak of its spectrum."""
    bright = total > _RELEVANT * total.max(axis=1, keepdims=True)
    return float(np.max(np.abs(error)[bright] / total[bright], initial=0.0))


class _Tabulation:
    """What a component's spectra need to be tabulated: which parameters are linear, how many nodes the others."""

    def __init__(self, source, n_parameters):
        self.source, self.middle = source, np.full(n_parameters, 0.5)
        self.is_linear = np.zeros(n_parameters, dtype=bool)
        self.all_knots = [np.asarray(source.knots.get(k, (0.0, 1.0)), dtype=float) for k in range(n_parameters)]

    @property
    def knots(self):
        """Of the parameters in which spectra are not linear."""
        return [knots for knots, linear in zip(self.all_knots, self.is_linear) if not linear]

    def rates(self, x):
        """Exact rates of scaled parameters (N, p)."""
        return np.concatenate(
            [self._fold(*self._own(x[i : i + _PHOTONS_AT_ONCE])) for i in range(0, len(x), _PHOTONS_AT_ONCE)]
        )

    def _own(self, x):
        shared = self.source.is_absorbed
        return self.source.photons(x[:, : x.shape[1] - shared]), (x[:, -1] if shared else None)

    def _fold(self, photons, y):
        return self.source.fold(photons, y)

    def find_linear(self, rng):
        """Find parameters in which spectra are linear, and without products of two of them."""
        candidates = []
        for k in range(len(self.middle) - self.source.is_absorbed):
            x = rng.random((_N_PROBES, len(self.middle)))
            if self._second_difference(x, [k, k]) and all(self._second_difference(x, [k, j]) for j in candidates):
                candidates.append(k)
        self.is_linear[candidates] = True

    def _second_difference(self, x, pair):
        first, second = pair
        corners = []
        for i, j in ((-1, -1), (1, -1), (-1, 1), (1, 1)) if first != second else ((-1,) * 2, (0, 0), (0, 0), (1, 1)):
            x = x.copy()
            x[:, first], x[:, second] = 0.5 + 0.5 * i, 0.5 + 0.5 * j
            corners.append(self.rates(x))
        low, *middle, high = corners
        return np.abs(low + high - sum(middle)).max() <= _ROUNDING * max(each.max() for each in corners)

    def orders(self, aim, rng):
        """Find how many Chebyshev nodes each of the other parameters needs, from slices through the ranges."""
        orders = []
        bases = np.vstack([self.middle, rng.random((_N_PROBES, len(self.middle)))])
        for k, knots in zip(np.flatnonzero(~self.is_linear), self.knots):
            pieces = len(knots) - 1
            most = pieces * (_MOST_NODES if pieces == 1 else _MOST_NODES_OF_PIECES)
            nodes = _nodes(most, knots)
            x = np.repeat(bases, most, axis=0)
            x[:, k] = np.tile(nodes, len(bases))
            f, total = (each.reshape(len(bases), most, -1) for each in (self.rates(x), self.source.total(x)))
            factor = total[0] + _FAINT * total[0].max()
            # of what is interpolated, the logarithm of P first, and what an error of each does to the spectrum
            values = np.concatenate([np.log(factor)[np.newaxis], f / factor])
            coefficients = _coefficients(values, 1, knots)
            scale = factor / np.maximum(total, _RELEVANT * total.max(axis=2, keepdims=True))
            scale = np.concatenate([(scale * values[1:]).max(axis=0, keepdims=True), scale])
            polynomials, degree = _polynomials(nodes, most, knots), np.tile(np.arange(most // pieces), pieces)
            for n in range(1, most // pieces):
                left_over = np.einsum("ij,bjm->bim", polynomials[:, degree >= n], coefficients[:, degree >= n])
                if np.abs(left_over * scale).max() < aim:
                    break
            orders.append(n * pieces)
        return orders

    def emulator(self, cls, orders, aim):
        n_linear = np.count_nonzero(self.is_linear)
        if (1 + n_linear) * np.prod(orders) > _MOST_SPECTRA:
            return None
        reference = self._reference(orders)
        others = np.flatnonzero(~self.is_linear)
        shared = self.source.is_absorbed
        all_nodes = [_nodes(n, knots) for n, knots in zip(orders, self.knots)]
        grid = np.meshgrid(*all_nodes[: len(orders) - shared], indexing="ij")
        x = np.tile(self.middle, (1 + n_linear, *grid[0].shape, 1)) if grid else np.tile(self.middle, (1 + n_linear, 1))
        for k, values in zip(others, grid):
            x[..., k] = values
        for place, k in enumerate(np.flatnonzero(self.is_linear), start=1):
            x[place, ..., k] = 1.0
        tensor = self._tensor(x.reshape(-1, x.shape[-1]), orders)
        tensor = tensor.reshape(1 + n_linear, *orders, -1)
        blank = cls(
            self.is_linear, self.knots, reference, [np.empty((0, 1, 0)), *(np.empty((0, n, 0)) for n in orders)]
        )
        full = np.meshgrid(*all_nodes, indexing="ij")
        points = np.tile(self.middle, (max(int(np.prod(orders)), 1), 1))
        for k, values in zip(others, full):
            points[:, k] = values.ravel()
        tensor = tensor / blank._factor(blank._weights(points)).reshape(*orders, -1)
        tensor[1:] -= tensor[0]
        for axis in range(len(orders)):
            tensor = _coefficients(tensor, 1 + axis, self.knots[axis])
        return cls(self.is_linear, self.knots, reference, _decompose(tensor, 2 * aim))

    def _tensor(self, x, orders):
        if not self.source.is_absorbed:
            return self.rates(x)
        rows = []
        for start in range(0, len(x), _PHOTONS_AT_ONCE):
            photons, _ = self._own(x[start : start + _PHOTONS_AT_ONCE])
            columns = [self._fold(photons, np.full(len(photons), y)) for y in _nodes(orders[-1], self.knots[-1])]
            rows.append(np.stack(columns, axis=1))
        return np.concatenate(rows)

    def _reference(self, orders):
        # log P: along each parameter through the middle, which all have in common
        (f,) = self.source.total(self.middle[np.newaxis])
        floor = _FAINT * f.max()
        blocks = [np.log(f + floor)[np.newaxis]]
        for k, n, knots in zip(np.flatnonzero(~self.is_linear), orders, self.knots):
            x = np.repeat(self.middle[np.newaxis], n, axis=0)
            x[:, k] = _nodes(n, knots)
            blocks.append(_coefficients(np.log(self.source.total(x) + floor) - blocks[0], 0, knots))
        return np.vstack(blocks)


def _train(weights, cores):
    values = np.ones((len(weights[0]), 1), dtype=cores[0].dtype)
    for weight, core in zip(weights, cores):
        products = values[:, :, np.newaxis] * weight[:, np.newaxis]
        values = products.reshape(len(values), -1) @ core.reshape(-1, core.shape[-1])
    return values


def _decompose(tensor, tolerance):
    """Tensor train of a tensor: cores by eigenvectors of Gram matrices, the relative error below the tolerance."""
    *sizes, m = tensor.shape
    limit = (tolerance * np.linalg.norm(tensor)) ** 2 / len(sizes)
    cores, rank, rest = [], 1, tensor
    for n in sizes[:-1]:
        rest = rest.reshape(rank * n, -1)
        values, vectors = np.linalg.eigh(rest @ rest.T)
        kept = np.cumsum(np.maximum(values, 0.0)) > limit
        kept[-1] = True
        cores.append(vectors[:, kept].reshape(rank, n, -1))
        rest, rank = vectors[:, kept].T @ rest, np.count_nonzero(kept)
    return [*cores, rest.reshape(rank, sizes[-1], m)]


def _nodes(n, knots):
    """Chebyshev nodes of the first kind of each piece of a range, n in all."""
    each = n // (len(knots) - 1)
    local = 0.5 - 0.5 * np.cos(np.pi * (np.arange(each) + 0.5) / each)
    return (knots[:-1, np.newaxis] + np.diff(knots)[:, np.newaxis] * local).ravel()


def _coefficients(values, axis, knots):
    """Chebyshev coefficients of each piece along an axis of values at the nodes."""
    n = values.shape[axis] // (len(knots) - 1)
    matrix = np.cos(np.pi * np.outer(np.arange(n), n - np.arange(n) - 0.5) / n) * 2 / n
    matrix[0] /= 2
    matrix = np.kron(np.eye(len(knots) - 1), matrix)
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)


def _polynomials(x, n, knots):
    """Chebyshev polynomials of the piece that each x is in, (N, n), zero for those of the other pieces."""
    each = n // (len(knots) - 1)
    piece = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    values = chebyshev.chebvander((x - knots[piece]) * (2 / np.diff(knots)[piece]) - 1, each - 1)
    if len(knots) == 2:
        return values
    weights = np.zeros((len(x), len(knots) - 1, each))
    weights[np.arange(len(x)), piece] = values
    return weights.reshape(len(x), n)


def _one_piece(x, n, knots):
    """Where the polynomials of the piece that one x is in begin, these, and their derivatives."""
    each = n // (len(knots) - 1)
    piece = min(max(int(np.searchsorted(knots, x, side="right")) - 1, 0), len(knots) - 2)
    scale = 2 / float(knots[piece + 1] - knots[piece])
    local = float(x - knots[piece]) * scale - 1
    values, slopes = [1.0, local], [0.0, scale]
    while len(values) < each:
        slopes.append(2 * (scale * values[-1] + local * slopes[-1]) - slopes[-2])
        values.append(2 * local * values[-1] - values[-2])
    return piece * each, values[:each], slopes[:each]
