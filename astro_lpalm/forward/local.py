"""Spectra that differ from pixel to pixel, kept as combinations of a few."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .counts import BackgroundCounts
from .least_squares import floored

__all__ = ["LocalSpectra"]

_CHUNK = 512  # pixels that are solved at a time
# Of each component's own part of the normal equations. Rounding is 1e-16 of it, so that none is singular; what it
# changes is less than the noise by as many digits, unless spectra are the same to six.
_RIDGE = 1e-12
_UNIT = 1e-4  # sums of spectra that are made in single precision differ from one by less


@dataclass(frozen=True)
class LocalSpectra:
    r"""Spectra of components in each pixel: combinations of basis spectra, each of which belongs to one component.

    The spectrum of component k in pixel j is the sum of ``basis[:, r] * coefficients[r, j]`` over the r that it owns.

    Parameters
    ----------
    basis : `~numpy.ndarray`, shape (m, R)
        Basis spectra in the cube's energy bins; parts of a spectrum may be negative.
    coefficients : `~numpy.ndarray`, shape (R, t)
        How much of each is in the spectrum of each pixel. They are kept in the precision that they are in.
    owners : `~numpy.ndarray` of int, shape (R,)
        The component that each basis spectrum belongs to, from 0 to n - 1.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, a component owns nothing, or a spectrum does not sum to one.

    Notes
    -----
    Counts of components are found in each pixel by least squares, with the same weights W in all: with P the (m, n)
    spectra of a pixel, they solve :math:`P^T W P s = P^T W x`. To the diagonal of :math:`P^T W P` is added 1e-12 of
    itself, so that two components with the same spectrum in a pixel share its counts evenly rather than by rounding.

    Examples
    --------
    One component whose spectrum changes from the first pixel to the second, and one that has the same in both:

    >>> import numpy as np
    >>> from astro_lpalm.forward import LocalSpectra
    >>> basis = np.array([[1.0, 0.0, 0.2], [0.0, 1.0, 0.2], [0.0, 0.0, 0.6]])
    >>> local = LocalSpectra(basis, np.array([[0.75, 0.25], [0.25, 0.75], [1.0, 1.0]]), np.array([0, 0, 1]))
    >>> X = local.expected([[8.0, 4.0], [10.0, 0.0]])
    >>> X
    array([[8., 1.],
           [4., 3.],
           [6., 0.]])
    >>> local.totals([[8.0, 4.0], [10.0, 0.0]])
    array([[7., 2.],
           [5., 2.],
           [0., 6.]])
    >>> np.abs(local.least_squares(X, X.sum(axis=1)).round(6))
    array([[ 8.,  4.],
           [10.,  0.]])
    """

    basis: np.ndarray
    coefficients: np.ndarray
    owners: np.ndarray

    def __post_init__(self):
        basis, coefficients = _finite("basis", self.basis), _finite("coefficients", self.coefficients)
        owners = np.asarray(self.owners)
        size, t = basis.shape[1], coefficients.shape[1]
        if coefficients.shape[0] != size or owners.shape != (size,):
            msg = (
                f"coefficients has shape {coefficients.shape} and owners {owners.shape}; for a basis of shape "
                f"{basis.shape}, (energies, basis spectra), they must be ({size}, pixels) and ({size},)."
            )
            raise ValueError(msg)
        if owners.dtype.kind not in "iu" or set(owners.tolist()) != set(range(owners.max() + 1)):
            msg = (
                f"owners must number the components from 0, each of which owns a basis spectrum, and are {owners}; "
                "leave out components without any."
            )
            raise ValueError(msg)
        for name, array in (("basis", basis), ("coefficients", coefficients), ("owners", owners)):
            view = array.view()
            view.flags.writeable = False  # they belong together
            object.__setattr__(self, name, view)
        sums = self._by_owner(basis.sum(axis=0)[:, np.newaxis] * coefficients) if t else np.ones((1, 1))
        if np.abs(sums - 1).max() > _UNIT:
            k, j = np.unravel_index(np.abs(sums - 1).argmax(), sums.shape)
            msg = (
                f"the spectrum of component {k} in pixel {j} sums to {sums[k, j]:.6g}; each must sum to one over the "
                "energies, so that images are in counts: divide its coefficients by the sum."
            )
            raise ValueError(msg)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The numbers (m, n, t) of energies, components and pixels."""
        return len(self.basis), len(self._owned), self.coefficients.shape[1]

    @cached_property
    def _owned(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.owners == k) for k in range(self.owners.max() + 1)]

    def _by_owner(self, values: np.ndarray) -> np.ndarray:
        """Sum over what each component owns: (R, ...) to (n, ...)."""
        return np.stack([values[mine].sum(axis=0) for mine in self._owned])

    def of_pixels(self, pixels: slice | np.ndarray) -> Self:
        """Give the spectra in some of the pixels: a slice, indices, or a mask of shape (t,)."""
        return type(self)(self.basis, self.coefficients[:, pixels], self.owners)

    def expected_rows(
        self, counts: ArrayLike, background: BackgroundCounts | None = None, energies: slice = np.s_[:]
    ) -> Iterator[np.ndarray]:
        """Walk through the expected counts energy by energy, (t,) each.

        Parameters
        ----------
        counts : array_like, shape (n, t)
            Of each component in each pixel, summed over the energies.
        background : `BackgroundCounts`, optional
            What to add, of the same pixels, and these energies.
        energies : slice
            All, or some of them.

        Yields
        ------
        `~numpy.ndarray`, shape (t,)
        """
        amounts = self.coefficients * self._checked(counts)[self.owners]
        for energy, spectrum in enumerate(self.basis[energies].astype(amounts.dtype, copy=False)):
            row = spectrum @ amounts
            yield row if background is None else row + background[energy]

    def expected(self, counts: ArrayLike, background: BackgroundCounts | None = None) -> np.ndarray:
        """Lay out what `expected_rows` walks through, (m, t)."""
        return np.stack([*self.expected_rows(counts, background)])

    def totals(self, counts: ArrayLike) -> np.ndarray:
        """Sum the spectra of the components over the pixels, in counts: (m, n) for counts of shape (n, t)."""
        amounts = np.einsum("rj,rj->r", self.coefficients, self._checked(counts)[self.owners], dtype=float)
        return np.stack([self.basis[:, mine] @ amounts[mine] for mine in self._owned], axis=1)

    def least_squares(self, net: np.ndarray, variance: ArrayLike) -> np.ndarray:
        """Find the counts of the components in each pixel.

        Parameters
        ----------
        net : `~numpy.ndarray`, shape (m, t)
            Data, without the background.
        variance : array_like, shape (m,)
            Noise variance of each energy, up to a factor, which is taken as `floored`.

        Returns
        -------
        `~numpy.ndarray`, shape (n, t)
            In counts summed over the energies.
        """
        (m, _, t), net = self.shape, np.asarray(net)
        if net.shape != (m, t):
            msg = f"net has shape {net.shape}; expected {(m, t)}, (energies of the basis, pixels of the coefficients)."
            raise ValueError(msg)
        rows = self.rows(variance)
        return self._solved(variance, lambda pixels: rows @ net[:, pixels].astype(float))

    def rows(self, variance: ArrayLike) -> np.ndarray:
        """Give what data are multiplied with before `solve`, (R, m): the basis, over the variance of the energies."""
        return np.ascontiguousarray((self.basis * self._weight(variance)[:, np.newaxis]).T)

    def solve(self, projected: np.ndarray, variance: ArrayLike) -> np.ndarray:
        """Find what `least_squares` finds in data that nobody lays out.

        Parameters
        ----------
        projected : `~numpy.ndarray`, shape (R, t)
            `rows` times the data, without the background.
        variance : array_like, shape (m,)
            What `rows` was given.

        Returns
        -------
        `~numpy.ndarray`, shape (n, t)
        """
        return self._solved(variance, lambda pixels: projected[:, pixels])

    def _solved(self, variance: ArrayLike, projected: Callable[[slice], np.ndarray]) -> np.ndarray:
        products, counts = self.rows(variance) @ self.basis, np.empty(self.shape[1:])
        for pixels in self._chunks():
            part = self.coefficients[:, pixels].astype(float)
            right = self._by_owner(part * projected(pixels))
            gram = [self._by_owner(part * (products[:, mine] @ part[mine])).T for mine in self._owned]
            counts[:, pixels] = _solve(np.stack(gram, axis=2), right.T[:, :, np.newaxis])[:, :, 0].T
        return counts

    def noise(self, expected: np.ndarray, variance: ArrayLike) -> np.ndarray:
        """Find the variance of what `least_squares` finds in counts that are Poisson distributed.

        Parameters
        ----------
        expected : `~numpy.ndarray`, shape (m, t)
            Expected counts, those of the background included.
        variance : array_like, shape (m,)
            What `least_squares` is given.

        Returns
        -------
        `~numpy.ndarray`, shape (n, t)
        """
        expected = self._checked_expected(expected)
        noise = np.empty(self.shape[1:])
        for pixels, _, demixing in self._demixing(variance):
            noise[:, pixels] = (demixing**2 @ expected[:, pixels].T[:, :, np.newaxis])[:, :, 0].T
        return noise

    def residual_squares(self, expected: np.ndarray, variance: ArrayLike) -> np.ndarray:
        """Find what the squares of the residuals that `least_squares` leaves of such counts add up to on average.

        Parameters
        ----------
        expected, variance
            As `noise` takes them.

        Returns
        -------
        `~numpy.ndarray`, shape (t,)
            Summed over the energies.
        """
        expected = self._checked_expected(expected)
        squares = np.empty(self.shape[2])
        for pixels, spectra, demixing in self._demixing(variance):
            # Of R = 1 - P D, the squares of each column, one for each energy, summed.
            share = 1 + (((spectra @ spectra.transpose(0, 2, 1)) @ demixing - 2 * spectra) * demixing).sum(axis=1)
            squares[pixels] = np.einsum("pi,ip->p", share, expected[:, pixels])
        return squares

    def _demixing(self, variance):
        """Walk through chunks of pixels: which they are, their spectra and what makes counts of data, (p, n, m)."""
        weight = self._weight(variance)
        for pixels in self._chunks():
            part = self.coefficients[:, pixels].astype(float)
            spectra = np.stack([part[mine].T @ self.basis[:, mine].T for mine in self._owned], axis=1)
            weighted = spectra * weight
            yield pixels, spectra, _solve(spectra @ weighted.transpose(0, 2, 1), weighted)

    def _checked_expected(self, expected):
        expected, (m, _, t) = np.asarray(expected), self.shape
        if expected.shape != (m, t):
            msg = f"expected has shape {expected.shape}; it must be {(m, t)}, (energies of the basis, pixels)."
            raise ValueError(msg)
        return expected

    def _chunks(self) -> Iterator[slice]:
        yield from (slice(start, start + _CHUNK) for start in range(0, self.coefficients.shape[1], _CHUNK))

    def _weight(self, variance):
        variance = np.asarray(variance, dtype=float)
        if variance.shape != (len(self.basis),):
            msg = f"variance has shape {variance.shape}; expected ({len(self.basis)},), one for each energy."
            raise ValueError(msg)
        return 1 / floored(variance)

    def _checked(self, counts):
        counts, (_, n, t) = np.asarray(counts), self.shape
        if counts.shape != (n, t):
            msg = f"counts has shape {counts.shape}; expected {(n, t)}, (components, pixels of the coefficients)."
            raise ValueError(msg)
        return counts


def _finite(name, values):
    values = np.asarray(values)
    values = values if values.dtype == np.float32 else values.astype(float, copy=False)
    if values.ndim != 2 or not len(values):
        msg = f"{name} must be a matrix, but its shape is {values.shape}."
        raise ValueError(msg)
    if not np.isfinite(values).all():
        msg = f"{name} has {np.count_nonzero(~np.isfinite(values))} values that are NaN or infinite; leave them out."
        raise ValueError(msg)
    return values


def _solve(gram, right):
    """Solve normal equations of each pixel, (p, n, n) and (p, n, k), none of which is singular; see the Notes."""
    diagonal = np.einsum("pkk->pk", gram)  # a view
    diagonal *= 1 + _RIDGE
    return np.linalg.solve(gram, right)
