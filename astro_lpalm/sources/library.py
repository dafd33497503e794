"""A library of sources: for every component, the statistics that its rows of S are drawn from."""

from collections.abc import Mapping
from numbers import Real

import numpy as np

from ..data import read_components_file
from ..transforms import get_transform
from .generalized_gaussian import GeneralizedGaussian

__all__ = ["SourceLibrary"]


class SourceLibrary:
    """Named components and the distribution of their sources' detail coefficients.

    Parameters
    ----------
    components : mapping of str to `GeneralizedGaussian`
        The distribution of each component, in the order of the components.
    amplitudes : mapping of str to float or (float, float), optional
        The l2 norm of each component's source relative to the others', or a range from which it is drawn uniformly in
        its logarithm. 1 for components that are not named.

    Attributes
    ----------
    component_names : list of str
        The components' names.
    components : dict of str to `GeneralizedGaussian`
        The distribution of each.
    amplitudes : dict of str to (float, float)
        The range of relative l2 norms of each.

    Raises
    ------
    ValueError
        If there are no components, an amplitude is for none of them, or is not positive or not a range.
    TypeError
        If a component is not a `GeneralizedGaussian`.

    Examples
    --------
    >>> from astro_lpalm.sources import GeneralizedGaussian, SourceLibrary
    >>> library = SourceLibrary(
    ...     {"synchrotron": GeneralizedGaussian(0.76, 1.0, 0.35), "thermal": GeneralizedGaussian(0.35, 1.0, 0.52)},
    ...     amplitudes={"thermal": (0.1, 1.0)},
    ... )
    >>> library.draw(5, 300, seed=0).shape
    (5, 2, 300)
    """

    def __init__(self, components, amplitudes=None):
        self.components = dict(components)
        if not self.components:
            msg = "a source library needs at least one component."
            raise ValueError(msg)
        for name, component in self.components.items():
            if not isinstance(component, GeneralizedGaussian):
                msg = f"component '{name}' must be a GeneralizedGaussian, not {component!r}."
                raise TypeError(msg)
        amplitudes = dict(amplitudes or {})
        if unknown := set(amplitudes) - set(self.components):
            msg = f"amplitudes are given for {sorted(unknown)}, but the components are {self.component_names}."
            raise ValueError(msg)
        self.amplitudes = {name: _range_of(name, amplitudes.get(name, 1.0)) for name in self.components}

    def __repr__(self):
        return f"<{type(self).__name__} of {', '.join(self.component_names)}>"

    @property
    def component_names(self):
        """Names of the components, in order."""
        return list(self.components)

    @classmethod
    def from_images(
        cls, images, transform="starlet", *, mask=None, method="moments", negligible=1e-12, amplitudes=None
    ):
        """Fit each component to the finest details of a reference image.

        Parameters
        ----------
        images : mapping of str to array_like, shape (ny, nx)
            A reference image of each component.
        transform : str or transform
            What `~astro_lpalm.transforms.get_transform` takes.
        mask : array_like of bool, shape (ny, nx), optional
            True for pixels to leave out of every image.
        method : {"moments", "likelihood"}
            How a fit is made: see `GeneralizedGaussian.fit`. Reference images are often results of a thresholding
            separation themselves, whose smallest values mean little, so here moments are the default.
        negligible : float
            Details up to this fraction of the largest count as zeros: by default, rounding errors.
        amplitudes : mapping of str to float or (float, float), optional
            Relative l2 norms of the sources, which the images do not determine.

        Returns
        -------
        library : `SourceLibrary`

        Raises
        ------
        ValueError
            If an image is not two-dimensional, is constant (or zero), has a NaN or infinite value outside the mask, or
            its details cannot be fitted; the message names the component.
        """
        transform = get_transform(transform)
        components = {}
        for name, image in dict(images).items():
            try:
                details = _finest_details(image, transform, mask)
                components[name] = GeneralizedGaussian.fit(details, method=method, negligible=negligible)
            except ValueError as error:
                msg = f"reference image of component '{name}': {error}"
                raise ValueError(msg) from error
        return cls(components, amplitudes)

    @classmethod
    def from_file(cls, path):
        """Read the ``source`` tables of a components file.

        Parameters
        ----------
        path : str or `os.PathLike`
            TOML file, or the name of a packaged one ("snr-acis", "pwn-acis"), with ``[[components]]``, each with a
            ``name`` and a ``[components.source]`` of ``fraction`` (of pixels that are not zero), ``shape``, and
            optionally ``amplitude`` (relative l2 norm, or a range of two).

        Returns
        -------
        library : `SourceLibrary`

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not TOML, or a key is missing, unknown or has a value that is not allowed; the message names file,
            component and key.
        """
        path, tables = read_components_file(path)
        try:
            return cls(*_read_tables(tables.get("components")))
        except ValueError as error:
            msg = f"'{path}': {error}"
            raise ValueError(msg) from error

    def draw(self, n, t, seed):
        """Draw samples of all sources.

        Parameters
        ----------
        n : int
            Number of samples.
        t : int
            Number of pixels.
        seed : int or `numpy.random.Generator`
            The same seed gives the same samples.

        Returns
        -------
        sources : `~numpy.ndarray`, shape (n, n_components, t)
            Each row of unit l2 norm times its relative amplitude. No row is all zeros.

        Raises
        ------
        ValueError
            If ``n`` or ``t`` is less than 1.
        """
        if n < 1 or t < 1:
            msg = f"n and t must be at least 1, to draw n={n} samples of t={t} pixels."
            raise ValueError(msg)
        rng = np.random.default_rng(seed)
        sources = np.empty((n, len(self.components), t))
        for index, (name, component) in enumerate(self.components.items()):
            # A row is all zeros only where less than one value is expected: to draw until there is one is to take one.
            rows = component._draw_rows(n, t, rng, fewest=1)
            low, high = np.log(self.amplitudes[name])
            amplitudes = np.exp(rng.uniform(low, high, size=(n, 1)))
            np.multiply(rows, amplitudes / np.linalg.norm(rows, axis=1, keepdims=True), out=sources[:, index])
        return sources


def _range_of(name, amplitude):
    """Range (low, high) of an amplitude that may be one number."""
    try:
        low, high = (amplitude, amplitude) if isinstance(amplitude, Real) else amplitude
        good = 0 < low <= high < np.inf
    except (TypeError, ValueError):
        good = False
    if not good:
        msg = f"component '{name}': amplitude must be a positive number or a range [low, high], not {amplitude!r}."
        raise ValueError(msg)
    return float(low), float(high)


def _finest_details(image, transform, mask):
    image = np.asarray(image, dtype=float)
    if image.ndim != 2:
        msg = f"it must have shape (ny, nx), but its shape is {image.shape}."
        raise ValueError(msg)
    kept = image.ravel() if mask is None else image[~np.asarray(mask, dtype=bool)]
    if not np.isfinite(kept).all():
        msg = f"{np.count_nonzero(~np.isfinite(kept))} pixels are NaN or infinite; mask them."
        raise ValueError(msg)
    if kept.size and kept.min() == kept.max():
        msg = f"it is {'constant' if kept[0] else 'all zeros'}, so it has no details to fit."
        raise ValueError(msg)
    details, _ = transform.forward(image, mask)
    return details[0] if mask is None else details[0][..., ~np.asarray(mask, dtype=bool)]


def _read_tables(tables):
    """Distributions and amplitudes from the [[components]] of a components file."""
    if not isinstance(tables, list) or not tables or not all(isinstance(table, Mapping) for table in tables):
        msg = "it has no [[components]]; each component needs one, with a name and a [components.source]."
        raise ValueError(msg)
    components, amplitudes = {}, {}
    for index, table in enumerate(tables):
        name = table.get("name")
        if not isinstance(name, str) or not name:
            msg = f"component {index + 1}: name must be a text that is not empty, not {name!r}."
            raise ValueError(msg)
        if name in components:
            msg = f"component {index + 1}: name '{name}' is another component's already."
            raise ValueError(msg)
        try:
            source = _checked_source(table.get("source"))
            # Rows are brought to unit norm, so the scale of the distribution does not matter.
            components[name] = GeneralizedGaussian(source["fraction"], 1.0, source["shape"])
        except ValueError as error:
            msg = f"component '{name}', [components.source]: {error}"
            raise ValueError(msg) from error
        amplitudes[name] = source.get("amplitude", 1.0)
    return components, amplitudes


def _checked_source(source):
    """Raise unless this table has the keys it needs and no others."""
    if not isinstance(source, Mapping):
        msg = "there is no such table; it needs the keys fraction and shape, and may have amplitude."
        raise ValueError(msg)
    for key in source:
        if key not in ("fraction", "shape", "amplitude"):
            msg = f"unknown key '{key}'; allowed are fraction, shape and amplitude."
            raise ValueError(msg)
    for key in ("fraction", "shape"):
        if key not in source:
            msg = f"the key '{key}' is missing."
            raise ValueError(msg)
    return source
