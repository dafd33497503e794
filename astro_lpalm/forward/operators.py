"""What an instrument does to images and spectra, as linear operators, each with its adjoint."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Blur", "Composition", "Expose", "Identity", "Mix", "Operator", "Redistribute", "Sum"]


class Operator(ABC):
    r"""A linear map of matrices, rows by pixels.

    A subclass gives `forward` and `adjoint`, with :math:`\langle F x, y \rangle = \langle x, F^T y \rangle` for all x
    and y, and nothing else. Operators are chained with ``@``: ``(F @ G).forward(x)`` is ``F.forward(G.forward(x))``.

    Examples
    --------
    A mirror, which is its own adjoint:

    >>> import numpy as np
    >>> from astro_lpalm.forward import Expose, Operator
    >>> class Mirror(Operator):
    ...     def forward(self, x):
    ...         return np.asarray(x)[:, ::-1]
    ...
    ...     adjoint = forward
    >>> (Expose([1.0, 0.5]) @ Mirror()).forward([[3.0, 8.0]])
    array([[8. , 1.5]])
    """

    @abstractmethod
    def forward(self, x: ArrayLike) -> np.ndarray:
        """Apply the operator to an array of shape (rows, pixels)."""

    @abstractmethod
    def adjoint(self, y: ArrayLike) -> np.ndarray:
        """Apply its adjoint."""

    def __matmul__(self, inner: "Operator") -> "Composition":
        return Composition(self, inner)


class Composition(Operator):
    """One operator after another.

    Parameters
    ----------
    outer, inner : Operator
        ``inner`` comes first.

    Examples
    --------
    >>> from astro_lpalm.forward import Expose, Mix
    >>> seen = Expose([1.0, 0.5]) @ Mix([[1.0], [3.0]])
    >>> type(seen).__name__
    'Composition'
    >>> seen.forward([[2.0, 4.0]])
    array([[2., 2.],
           [6., 6.]])
    """

    def __init__(self, outer: Operator, inner: Operator):
        self.outer, self.inner = outer, inner

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Apply both, the inner one first."""
        return self.outer.forward(self.inner.forward(x))

    def adjoint(self, y: ArrayLike) -> np.ndarray:
        """Apply both adjoints, the outer one first."""
        return self.inner.adjoint(self.outer.adjoint(y))


class Sum(Operator):
    """What several operators make of the same, added up.

    Parameters
    ----------
    *parts : Operator

    Examples
    --------
    >>> from astro_lpalm.forward import Expose, Identity, Sum
    >>> Sum(Identity(), Expose([1.0, 0.5])).forward([[2.0, 4.0]])
    array([[4., 6.]])
    """

    def __init__(self, *parts: Operator):
        self.parts = parts

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Apply each, and add."""
        return sum((part.forward(x) for part in self.parts[1:]), start=self.parts[0].forward(x))

    def adjoint(self, y: ArrayLike) -> np.ndarray:
        """Apply each adjoint, and add."""
        return sum((part.adjoint(y) for part in self.parts[1:]), start=self.parts[0].adjoint(y))


class Identity(Operator):
    """Nothing happens.

    Examples
    --------
    >>> from astro_lpalm.forward import Identity
    >>> Identity().forward([[2.0, 4.0]])
    array([[2., 4.]])
    """

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Give an array as it is."""
        return np.asarray(x)

    adjoint = forward


class Mix(Operator):
    """Counts at each energy from sources: A S.

    Parameters
    ----------
    spectra : array_like, shape (m, n), or (..., m, n)
        The mixing matrix A; or a stack of them, for stacks of sources.

    Examples
    --------
    >>> from astro_lpalm.forward import Mix
    >>> Mix([[1.0, 0.0], [1.0, 2.0]]).forward([[3.0], [5.0]]).tolist()
    [[3.0], [13.0]]
    """

    def __init__(self, spectra: ArrayLike):
        self.spectra = np.asarray(spectra)

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Mix sources, (n, t), to counts, (m, t)."""
        return self.spectra @ np.asarray(x)

    def adjoint(self, y: ArrayLike) -> np.ndarray:
        """Project counts, (m, t), on the spectra: (n, t)."""
        back = self.spectra.T if self.spectra.ndim == 2 else self.spectra.swapaxes(-1, -2)
        return back @ np.asarray(y)


class Redistribute(Mix):
    """Counts in channels from photons of true energies.

    Parameters
    ----------
    response : `~astro_lpalm.instrument.Response` or array_like, shape (n_true, n_channel)
        Effective area times the probability of each channel.

    Examples
    --------
    >>> from astro_lpalm.forward import Redistribute
    >>> Redistribute([[0.5, 0.0], [0.25, 0.75]]).forward([[100.0], [40.0]])
    array([[60.],
           [30.]])
    """

    def __init__(self, response: object):
        matrix = response.matrix if hasattr(response, "matrix") else np.asarray(response)
        self.spectra = matrix.T  # sparse, as the matrices of responses are


class Expose(Operator):
    """Counts detected of those at full exposure.

    Parameters
    ----------
    exposure : array_like, shape (t,)
        Relative exposure of each pixel.

    Examples
    --------
    >>> from astro_lpalm.forward import Expose
    >>> Expose([1.0, 0.5]).forward([[2.0, 4.0], [6.0, 8.0]])
    array([[2., 2.],
           [6., 4.]])
    """

    def __init__(self, exposure: ArrayLike):
        self.exposure = np.asarray(exposure, dtype=float)

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Multiply each row, (k, t), by the exposure."""
        return np.asarray(x) * self.exposure

    adjoint = forward


class Blur(Operator):
    """Images through a point spread function; what leaves the observed pixels is lost.

    Parameters
    ----------
    kernel : object
        With ``blur(image)`` and ``unblur(image)``, its adjoint, such as
        `PSF.on_pixels <astro_lpalm.instrument.PSF.on_pixels>` makes.
    kept : array_like of bool, shape (ny, nx)
        The observed pixels, t of them: the columns of what is blurred, in C order.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astro_lpalm.forward import Blur
    >>> from astro_lpalm.instrument import PSF
    >>> kernel = PSF(0.5 * u.arcsec).on_pixels(0.5 * u.arcsec)
    >>> Blur(kernel, np.ones((1, 5), dtype=bool)).forward([[0, 0, 100.0, 0, 0]]).round(1)
    array([[ 0.1, 11.1, 44.1, 11.1,  0.1]])
    """

    def __init__(self, kernel: object, kept: ArrayLike):
        self.kernel, self.kept = kernel, np.asarray(kept, dtype=bool)

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Blur each row, (k, t)."""
        return self._each(x, self.kernel.blur)

    def adjoint(self, y: ArrayLike) -> np.ndarray:
        """Correlate each row, (k, t), with the point spread function."""
        return self._each(y, self.kernel.unblur)

    def _each(self, rows, how):
        found = np.empty(np.shape(rows))
        for row, out in zip(rows, found):
            image = np.zeros(self.kept.shape)
            image[self.kept] = row
            out[:] = how(image)[self.kept]
        return found
