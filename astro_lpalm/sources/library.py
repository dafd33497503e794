"""A library of sources: for every component, the statistics that its rows of S are drawn from."""

from numbers import Real

import numpy as np

from .._text import shown
from ..transforms import Starlet, get_transform
from .generalized_gaussian import GeneralizedGaussian
from .images import ImageStatistics
from .source_tables import read_source_tables

__all__ = ["SourceLibrary"]

_N_SCALES = 4
_LEAST_SIDE = 8  # pixels of an image
_CHUNK = 64  # draws of images in memory at once
_SMALLEST = 1e-9  # of relative norms, and of counts in a pixel; the largest is its inverse
_SMALLEST_SIDE = 64  # of images that details are taken from: smaller ones have no large scales


class SourceLibrary:
    """Named components and the statistics of their sources: detail coefficients, and images.

    `draw` makes sources of independent pixels, as Fahes et al. (2022) do. `draw_images` makes images with structure,
    bright in part in the same places, as those of the components of one object are, and `draw_details` sources from
    the details of such images.

    Parameters
    ----------
    components : mapping of str to `GeneralizedGaussian`
        The distribution of each component, in the order of the components.
    amplitudes : mapping of str to float or (float, float), optional
        The l2 norm of each component's source relative to the others', or a range from which it is drawn uniformly in
        its logarithm. 1 for components that are not named.
    scales : mapping of str to sequence of `GeneralizedGaussian`, optional
        The distribution at each scale, the finest first, where it was fitted.
    images : `ImageStatistics`, optional
        What images are drawn with. Without it, structure and correlation are those of maps of Cassiopeia A.

    Attributes
    ----------
    component_names : list of str
        The components' names.
    components : dict of str to `GeneralizedGaussian`
        The distribution of each.
    amplitudes : dict of str to (float, float)
        The range of relative l2 norms of each.
    scales : dict of str to tuple of `GeneralizedGaussian`
        The distribution of each at every scale that was fitted.
    images : `ImageStatistics`

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

    def __init__(self, components, amplitudes=None, *, scales=None, images=None):
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
        self.amplitudes = {
            name: _range_of(f"component '{name}': amplitude", amplitudes.get(name, 1.0)) for name in self.components
        }
        self.scales = {name: tuple((scales or {}).get(name, (each,))) for name, each in self.components.items()}
        if images is None:
            images = ImageStatistics.typical(*_statistics(self.components))
        self.images = images

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
        """Fit each component to a reference image: its details at every scale, and its structure.

        Parameters
        ----------
        images : mapping of str to array_like, shape (ny, nx)
            A reference image of each component, all on the same pixels.
        transform : str or transform
            What `~astro_lpalm.transforms.get_transform` takes. Its finest scale gives ``components``.
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
            its details cannot be fitted, or the images have different shapes; the message names the component.
        """
        transform = get_transform(transform)
        mask = None if mask is None else np.asarray(mask, dtype=bool)
        scales, planes = {}, []
        for name, image in dict(images).items():
            try:
                plane = np.asarray(image, dtype=float)
                details = _details_of(plane, transform, mask)
                fits = [GeneralizedGaussian.fit(each, method=method, negligible=negligible) for each in details]
                if planes and plane.shape != planes[0].shape:
                    msg = f"its shape is {plane.shape}, but that of '{next(iter(scales))}' is {planes[0].shape}."
                    raise ValueError(msg)
            except ValueError as error:
                msg = f"reference image of component '{name}': {error}"
                raise ValueError(msg) from error
            scales[name] = fits
            planes.append(plane)
        components = {name: fits[0] for name, fits in scales.items()}
        statistics = ImageStatistics.of_images(np.stack(planes), *_statistics(components), mask) if planes else None
        return cls(components, amplitudes, scales=scales, images=statistics)

    @classmethod
    def from_file(cls, path):
        """Read the ``source`` tables of a components file.

        Parameters
        ----------
        path : str or `os.PathLike`
            TOML file, or the name of a packaged one ("snr-acis", "pwn-acis"), with ``[[components]]``, each with a
            ``name`` and a ``[components.source]`` of ``fraction`` (of pixels that are not zero) and ``shape``, or of
            ``image`` (a FITS file that both are fitted to, "file.fits" or "file.fits[EXTENSION]", relative to the TOML
            file), and optionally ``amplitude`` (relative l2 norm, or a range of two).

        Returns
        -------
        library : `SourceLibrary`
            Images are drawn with the statistics of the reference images where every component has one.

        Raises
        ------
        FileNotFoundError
            If there is no such file, or an image is not there.
        ValueError
            If it is not TOML, or a key is missing, unknown or has a value that is not allowed; the message names file,
            component and key.
        """
        path, tables = read_source_tables(path)
        try:
            images = {name: table["image"] for name, table in tables.items() if "image" in table}
            fitted = cls.from_images(images, Starlet(_N_SCALES)) if images else None
            components = {name: table["distribution"] or fitted.components[name] for name, table in tables.items()}
            amplitudes = {name: table.get("amplitude", 1.0) for name, table in tables.items()}
            scales = fitted.scales if images else None
            statistics = fitted.images if len(images) == len(tables) else None
            return cls(components, amplitudes, scales=scales, images=statistics)
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
        _check_numbers(n, t)
        rng = np.random.default_rng(seed)
        sources = np.empty((n, len(self.components), t))
        for index, component in enumerate(self.components.values()):
            # A row is all zeros only where less than one value is expected: to draw until there is one is to take one.
            sources[:, index] = component._draw_rows(n, t, rng, fewest=1)
        _scale(sources, self._amplitudes(n, rng))
        return sources

    def draw_images(self, n, shape, seed, *, correlation=1.0):
        """Draw images of all components.

        Parameters
        ----------
        n : int
            Number of draws.
        shape : (int, int)
            Shape (ny, nx) of the images.
        seed : int or `numpy.random.Generator`
            The same seed gives the same images.
        correlation : float
            How much the components are bright in the same places: from 0, not at all, to 1, as the reference images
            are (or maps of Cassiopeia A, where there were none).

        Returns
        -------
        images : `~numpy.ndarray`, shape (n, n_components, ny, nx)
            Not negative, each of unit l2 norm times its relative amplitude.

        Raises
        ------
        ValueError
            If ``n`` is less than 1 or a side less than 8, or ``correlation`` is not between 0 and 1.

        Examples
        --------
        >>> from astro_lpalm.sources import SourceLibrary
        >>> images = SourceLibrary.from_file("pwn-acis").draw_images(2, (64, 64), seed=0)
        >>> images.shape, bool(images.min() >= 0)
        ((2, 2, 64, 64), True)
        """
        _check_numbers(n, *shape)
        if min(shape) < _LEAST_SIDE:
            msg = f"images of {shape[0]} x {shape[1]} pixels have no structure; ask for {_LEAST_SIDE} or more."
            raise ValueError(msg)
        _check_correlation(correlation)
        rng = np.random.default_rng(seed)
        images = np.empty((n, len(self.components), *shape))
        for start in range(0, n, _CHUNK):
            part = images[start : start + _CHUNK]
            part[:] = self.images.draw(len(part), shape, rng, correlation)
        _scale(images.reshape(n, len(self.components), -1), self._amplitudes(n, rng))
        return images

    def draw_details(self, n, t, seed, *, correlation=1.0, transform=None, counts=(1.0, 100.0)):
        """Draw samples of all sources from the details of images, at every scale.

        Parameters
        ----------
        n : int
            Number of samples.
        t : int
            Number of pixels: random places at random scales, the same for all components of a sample. Coarser scales
            have stronger details, so components that are independent at each scale are not so all in all.
        seed : int or `numpy.random.Generator`
            The same seed gives the same samples.
        correlation : float
            See `draw_images`.
        transform : transform, optional
            An undecimated one; by default a starlet of four scales.
        counts : float or (float, float), optional
            Mean number of counts in a pixel, or a range from which it is drawn uniformly in its logarithm. It decides
            how much more noise there is where it is bright: details are divided by the photon noise that the counts
            around them make, as those of an observation are before they are separated. With None, noise is white.

        Returns
        -------
        sources : `~numpy.ndarray`, shape (n, n_components, t)
            Details in units of their noise, then each row of unit l2 norm times its relative amplitude.

        Raises
        ------
        ValueError
            If ``n`` or ``t`` is less than 1, ``correlation`` is not between 0 and 1, or ``counts`` is not positive.

        Examples
        --------
        >>> from astro_lpalm.sources import SourceLibrary
        >>> SourceLibrary.from_file("pwn-acis").draw_details(5, 300, seed=0).shape
        (5, 2, 300)
        """
        _check_numbers(n, t)
        _check_correlation(correlation)
        counts = counts if counts is None else _range_of("counts", counts)
        rng = np.random.default_rng(seed)
        transform = Starlet(_N_SCALES) if transform is None else transform
        side = max(_SMALLEST_SIDE, int(np.ceil(np.sqrt(t))))
        sources = np.empty((n, len(self.components), t))
        for start in range(0, n, _CHUNK):
            part = sources[start : start + _CHUNK]
            images = self.images.draw(len(part), (side, side), rng, correlation)
            norms = self._amplitudes(len(part), rng)
            _scale(images.reshape(*part.shape[:2], -1), norms)
            details, _ = transform.forward(images)
            noise = transform.noise
            if counts is not None:
                total = images.sum(axis=1)
                level = np.exp(rng.uniform(*np.log(counts), size=len(part))) / total.mean(axis=(1, 2))
                noise = transform.photon_noise(total * level[:, np.newaxis, np.newaxis])
                noise = [np.reshape(each, (-1, 1, *np.shape(each)[1:])) for each in noise]
            stacked = np.stack([each / sigma for each, sigma in zip(details, noise)], axis=2)
            for row, values in zip(part, stacked.reshape(*part.shape[:2], -1)):
                row[:] = _chosen(values, t, rng)
            _scale(part, norms)
        return sources

    def _amplitudes(self, n, rng):
        # l2 norms drawn for n samples, (n, n_components, 1)
        low, high = np.log(list(self.amplitudes.values())).T
        return np.exp(rng.uniform(low, high, size=(n, len(low))))[..., np.newaxis]


def _chosen(values, t, rng):
    # Places where some component has no detail at all would leave its row empty.
    chosen = values[:, rng.choice(values.shape[1], t, replace=t > values.shape[1])]
    for row, every in zip(chosen, values):
        if not row.any():
            row[rng.integers(t)] = every[np.abs(every).argmax()]
    return chosen


def _scale(rows, norms):
    # in place, rows (n, n_components, t) to norms (n, n_components, 1)
    rows *= norms / np.linalg.norm(rows, axis=2, keepdims=True)


def _statistics(components):
    # fractions and shapes of the details, which images are drawn with
    return [each.fraction for each in components.values()], [each.shape for each in components.values()]


def _check_numbers(n, *sizes):
    if n < 1 or min(sizes) < 1:
        what = f"samples of t={sizes[0]} pixels" if len(sizes) == 1 else f"images of {sizes[0]} x {sizes[1]} pixels"
        msg = f"n and {'t' if len(sizes) == 1 else 'both sides'} must be at least 1, to draw n={n} {what}."
        raise ValueError(msg)


def _check_correlation(correlation):
    if not (isinstance(correlation, Real) and 0 <= correlation <= 1):
        msg = f"correlation is {correlation!r}, but must lie between 0 (none) and 1 (as in the reference images)."
        raise ValueError(msg)


def _range_of(what, value):
    """Range (low, high) of something positive that may be one number."""
    try:
        low, high = (value, value) if isinstance(value, Real) else value
        good = not isinstance(low, bool) and not isinstance(high, bool) and _SMALLEST <= low <= high <= 1 / _SMALLEST
    except (TypeError, ValueError):
        good = False
    if not good:
        msg = (
            f"{what} must be a positive number or a range [low, high], not {shown(value)}; it may be from "
            f"{_SMALLEST:g} to {1 / _SMALLEST:g}."
        )
        raise ValueError(msg)
    return float(low), float(high)


def _details_of(image, transform, mask):
    """Details of an image at every scale."""
    if image.ndim != 2:
        msg = f"it must have shape (ny, nx), but its shape is {image.shape}."
        raise ValueError(msg)
    kept = image.ravel() if mask is None else image[~mask]
    if not np.isfinite(kept).all():
        msg = f"{np.count_nonzero(~np.isfinite(kept))} pixels are NaN or infinite; mask them."
        raise ValueError(msg)
    if kept.size and kept.min() == kept.max():
        msg = f"it is {'constant' if kept[0] else 'all zeros'}, so it has no details to fit."
        raise ValueError(msg)
    details, _ = transform.forward(image, mask)
    return details if mask is None else [each[..., ~mask] for each in details]
