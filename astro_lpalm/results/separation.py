"""Separation: the components found in a cube."""

from functools import partial
from types import MappingProxyType

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import QTable, Table

from .._names import check_component_names
from ..cube import EventCube, Planes
from ..forward import Fit, ForwardModel
from ..instrument import PSF
from ..trust.errors import reduced_chi_square
from ._checks import valid_background, valid_deviations, valid_local, valid_matrix, valid_meta
from ._planes import expected_planes, left_planes
from ._region import region_table
from .io import SeparationIO
from .maps import Named, by_component, sky_image, valid_maps, valid_smooth

__all__ = ["Separation"]

_OWN_DIAGNOSTICS = ("component", "counts", "share")


class Separation(SeparationIO):
    r"""A cube taken apart into components: ``cube = mixing @ sources + background + residuals``.

    Parameters
    ----------
    cube : `~astro_lpalm.cube.EventCube`
        The data, of shape (m, ny, nx).
    mixing : array_like, shape (m, n)
        The spectrum of each component, one a column; usually of unit l2 norm.
    sources : array_like, shape (n, t)
        How much of each spectrum is in each of the cube's t unmasked pixels, in C order, so that
        ``mixing @ sources`` is in counts.
    names : sequence of str
        The names of the n components: letters, digits and underscores, a letter first, and different from each
        other in more than case, as they name extensions of FITS files and columns of tables.
    diagnostics : `~astropy.table.Table`, dict of array_like, or None
        More columns for ``diagnostics``, with one value a component. The ``meta`` of a table goes to its ``meta``:
        plain numbers, strings and booleans that hold for the whole separation, such as ``n_iter`` and ``converged``.
    header : `~astropy.io.fits.Header`, dict, or None
        Cards that say where the separation comes from, such as MODEL, MODELSUM and HISTORY.
    background : array_like, shape (m, t), or None
        Counts in each unmasked pixel that belong to no component.
    spectra_uncertainty : array_like, shape (m, n), or None
        Standard deviations of the component spectra, summed over the field, in counts.
    image_uncertainty : array_like, shape (n, t), or None
        Standard deviations of the component images, summed over energy, in counts a pixel.
    covariance : array_like, shape (n, m, m), or None
        Of the counts of each component in the energy bins, summed over the field.
    parameters : `~astropy.table.QTable` or None
        Physical parameters, as `parameter_table` makes it.
    local : `~astro_lpalm.forward.LocalSpectra` or None
        Spectra that differ from pixel to pixel; those in ``mixing`` are then those of the field.
    smooth : pair of array_like, shape (n, t), or None
        Smooth component images, and their standard deviations, in counts a pixel.
    maps : sequence of `ParameterMap`, or None
        Parameters of components in each pixel; any objects with the same attributes do.
    samples : mapping of str to array_like, shape (N, t), or None
        Draws of smooth images, by the names of components, and of maps, by <component>_<parameter>.

    Attributes
    ----------
    cube : `~astro_lpalm.cube.EventCube`
    mixing, sources : `~numpy.ndarray`
        As given, read-only: in float64, or images in float32 where they were that.
    background : `~numpy.ndarray`, shape (m, t), or None
        The same.
    names : tuple of str
    spectra_uncertainty : `~numpy.ndarray`, shape (m, n), or None
        The same. It is there in ``spectra`` too, and drawn.
    image_uncertainty : mapping of str to `~numpy.ndarray`, shape (ny, nx), or None
        The same by name and on the sky, NaN in excluded pixels. It is the ``uncertainty`` of the images.
    covariance : mapping of str to `~numpy.ndarray`, shape (m, m), or None
        By name, in counts squared: how the errors of a component's energy bins go together. A fit of its spectrum needs
        it, since bins that were found by one model are not independent.
    parameters : `~astropy.table.QTable` or None
        The physical parameters of the components: ``component``, ``parameter``, ``value``, ``error_low`` and
        ``error_high`` (68 %), ``unit``, ``low``, ``high``, ``at_limit``, ``undecided``; see `parameter_table`.
    local : `~astro_lpalm.forward.LocalSpectra` or None
    smooth : tuple of 2 `~numpy.ndarray`, shape (n, t), or None
        The same; see `smooth_images`.
    samples : mapping of str to `~numpy.ndarray`, shape (N, ny, nx)
        The same on the sky: what is possible, given the data, all of one index together.
    maps : tuple of `ParameterMap`
        The same; see `parameter_maps`.
    diagnostics : `~astropy.table.QTable`
        A row per component: ``component``, ``counts``, ``share`` (of the model's counts) and the columns given. Its
        ``meta`` holds what was given and ``reduced_chi_square`` (see Notes).
    header : `~astropy.io.fits.Header`

    Raises
    ------
    TypeError
        If ``cube`` is not an `~astro_lpalm.cube.EventCube`, or ``local`` not `~astro_lpalm.forward.LocalSpectra`.
    ValueError
        If the shapes do not belong together, a value is not finite, a name cannot be used or would be that of two
        parts of a file, or a spectrum sums to zero without being zero, which leaves its image without counts.

    Notes
    -----
    With :math:`X` the data, :math:`A` the mixing, :math:`S = D X` the sources of least squares weighted by the
    expected counts of each energy, as `~astro_lpalm.pipeline.separate` finds them, and :math:`R = 1 - A D`, the
    reduced chi square is

    .. math::

        \chi^2_r = \frac{\sum_{ij} (X - A S)_{ij}^2}{\sum_{ik} R_{ik}^2 \sum_j (A S)_{kj}},

    with the background, where there is one, added to both :math:`A S`. The denominator is what the numerator is
    expected to be for Poisson noise, whose variance is the model's counts. Comparing the two sums, rather than summing
    ratios, keeps it meaningful where pixels hold less than a count. With local spectra, A, D and R are those of each
    pixel.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm.cube import EventCube
    >>> from astro_lpalm.results import Separation
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    >>> wcs.wcs.cdelt = -1 / 3600, 1 / 3600
    >>> mixing = np.array([[0.6, 0.8], [0.8, 0.6]])
    >>> sources = np.array([[10.0, 0, 10, 0, 0, 0], [0, 0, 0, 0, 5, 10]])
    >>> cube = EventCube((mixing @ sources).reshape(2, 2, 3), energy_edges=[0.5, 2, 7] * u.keV, wcs=wcs)
    >>> result = Separation(cube, mixing, sources, ["thermal", "nonthermal"])
    >>> result.images["nonthermal"].data[1]
    array([ 0.,  7., 14.])
    >>> result.spectra["thermal"]
    <Quantity [12., 16.] ct>
    >>> result.diagnostics["share"].round(3)
    array([0.571, 0.429])
    """

    def __init__(
        self,
        cube,
        mixing,
        sources,
        names,
        *,
        diagnostics=None,
        header=None,
        background=None,
        spectra_uncertainty=None,
        image_uncertainty=None,
        covariance=None,
        parameters=None,
        local=None,
        smooth=None,
        maps=None,
        samples=None,
    ):
        if not isinstance(cube, EventCube):
            msg = f"cube must be an EventCube, not {type(cube).__name__}; see EventCube.read and EventCube.from_hdu."
            raise TypeError(msg)
        self.cube = cube._with()  # the same counts, with a header of its own
        self.names = check_component_names(names)
        n, t = len(self.names), int(np.sum(~cube.pixel_mask))
        self.mixing = valid_matrix("mixing", mixing, (cube.n_energy, n), "(energies of the cube, names)")
        self.sources = valid_matrix("sources", sources, (n, t), "(names, unmasked pixels of the cube)")
        self.background = None if background is None else valid_background(background, (cube.n_energy, t))
        self.local = None if local is None else valid_local(local, (cube.n_energy, n, t))
        forward = ForwardModel(~cube.pixel_mask, background=self.background)
        self.fit = Fit(self.cube, forward, self.mixing, self.sources, self.local)
        self.smooth = None if smooth is None else valid_smooth(smooth, (n, t))
        self.maps = valid_maps(maps, self.names, t)
        self.samples = self._on_sky(samples or {}, t)
        self.spectra_uncertainty = self.image_uncertainty = None
        if spectra_uncertainty is not None:
            self.spectra_uncertainty = valid_deviations("spectra_uncertainty", spectra_uncertainty, self.mixing.shape)
        if image_uncertainty is not None:
            planes = cube.image_of(valid_deviations("image_uncertainty", image_uncertainty, self.sources.shape))
            planes.flags.writeable = False
            self.image_uncertainty = MappingProxyType(dict(zip(self.names, planes)))
        self.covariance = None
        if covariance is not None:
            m = cube.n_energy
            covariance = valid_matrix("covariance", covariance, (n, m, m), "(names, energies, energies of the cube)")
            self.covariance = MappingProxyType(dict(zip(self.names, covariance)))
        self.parameters = None if parameters is None else QTable(parameters)
        for name, column in zip(self.names, self.mixing.T):
            if column.sum() == 0 and column.any():
                msg = f"the spectrum of component '{name}' sums to zero over energy, so its image would hold no counts."
                raise ValueError(msg)
        self.header = fits.Header(header or {}, copy=True)
        self.diagnostics = self._tabulate(Table(diagnostics if diagnostics is not None else {}))

    def __getstate__(self):
        return {key: dict(value) if isinstance(value, MappingProxyType) else value for key, value in vars(self).items()}

    def __setstate__(self, state):
        vars(self).update(
            {key: MappingProxyType(value) if isinstance(value, dict) else value for key, value in state.items()}
        )

    def _on_sky(self, samples, t):
        known = {*self.names, *(f"{each.component}_{each.parameter}" for each in self.maps)}
        found = {}
        for name, drawn in samples.items():
            if name not in known:
                msg = f"samples has {name!r}, but there are {', '.join(sorted(known))} to have samples of."
                raise ValueError(msg)
            drawn = valid_matrix(f"samples of {name}", drawn, (len(drawn), t), "(draws, unmasked pixels of the cube)")
            found[name] = self.cube.image_of(drawn)
            found[name].flags.writeable = False
        return MappingProxyType(found)

    def _tabulate(self, given):
        """Put the diagnostics that were given next to those that can always be had."""
        taken = [name for name in given.colnames if name in _OWN_DIAGNOSTICS]
        if taken or (given.colnames and len(given) != len(self.names)):
            msg = (
                f"diagnostics has {len(given)} rows and the columns {given.colnames}; it must have a row for each of "
                f"the {len(self.names)} components, and no column called {', '.join(_OWN_DIAGNOSTICS)}."
            )
            raise ValueError(msg)
        counts = self._counts_of_components()
        table = QTable()
        table["component"] = list(self.names)
        table["counts"] = counts * u.count
        table["share"] = counts / counts.sum() if counts.sum() else np.zeros_like(counts)
        table["counts"].info.format, table["share"].info.format = ".1f", ".4f"
        for column in given.itercols():
            table[column.info.name] = column
        table.meta.update(valid_meta(given.meta))
        chi_square = reduced_chi_square(self.fit)
        if chi_square is not None:
            table.meta["reduced_chi_square"] = chi_square
        return table

    def _counts_of_components(self):
        return self.mixing.sum(axis=0) * self.sources.sum(axis=1)

    @property
    def images(self):
        """Read-only mapping from names to component images, `~astropy.nddata.NDData` of shape (ny, nx) in counts.

        Each holds the component's counts summed over energy, on the cube's celestial WCS, with their uncertainty
        where it is known; excluded pixels are masked and NaN.
        """
        planes = self.cube.image_of(self.fit.component_counts)
        errors = self.image_uncertainty or {}
        found = {name: sky_image(self.cube, plane, errors.get(name)) for name, plane in zip(self.names, planes)}
        return MappingProxyType(Named(found, "image"))

    @property
    def smooth_images(self):
        """Read-only mapping from names to smooth component images, like `images`; None where there are none.

        They are the mean of what is possible, given the data and that images are not negative and mostly smooth: for
        looking at. To measure fluxes take `images`, which no such assumption draws to one side.
        """
        if self.smooth is None:
            return None
        images, errors = map(self.cube.image_of, self.smooth)
        found = {name: sky_image(self.cube, *planes) for name, *planes in zip(self.names, images, errors)}
        return MappingProxyType(Named(found, "image"))

    def smooth_images_at(self, resolution):
        """Blur the smooth images to one resolution, to compare them with those of other observations or energies.

        Parameters
        ----------
        resolution : `~astropy.units.Quantity`
            Full width at half maximum of a round Gaussian, an angle.

        Returns
        -------
        mapping of str to `~astropy.nddata.NDData`
            Like `smooth_images`. Errors are blurred as the images are, as if those of neighbours went together: they
            are upper limits.

        Raises
        ------
        ValueError
            If there are no smooth images, or the resolution is no positive angle.
        """
        if self.smooth is None:
            msg = "there are no smooth images to blur; separate with smooth=True."
            raise ValueError(msg)
        kernel = PSF(resolution).on_pixels(self.cube.wcs)
        kept = ~self.cube.pixel_mask
        inside = np.maximum(kernel.blur(kept.astype(float)), np.finfo(float).tiny)  # what lies outside is not known
        planes = [
            [kernel.blur(np.where(kept, plane, 0.0)) / inside for plane in map(self._plane, each)]
            for each in self.smooth
        ]
        for plane in (plane for each in planes for plane in each):
            plane[~kept] = np.nan
        return MappingProxyType({name: sky_image(self.cube, *each) for name, *each in zip(self.names, *planes)})

    def _plane(self, values):
        return self.cube.image_of(values[np.newaxis])[0]

    @property
    def parameter_maps(self):
        """Read-only mapping from components to read-only mappings from parameters to their maps.

        Each map is an `~astropy.nddata.NDData` of shape (ny, nx), on the cube's celestial WCS and in the parameter's
        unit, with its uncertainty. It is masked in excluded pixels, where it is NaN, and where the data say nothing of
        the parameter. Components without maps are left out.
        """
        return by_component(self.cube, self.names, self.maps)

    @property
    def flux_images(self):
        """Read-only mapping from names to component images divided by the exposure, like `images` otherwise.

        They are in count / s or count / (cm2 s), as the unit of the cube's exposure is, and in count where that is
        relative.

        Raises
        ------
        ValueError
            If the cube has no exposure map.
        """
        exposure = self.cube.exposure
        if exposure is None:
            msg = "the cube has no exposure map, so there are counts only; see EventCube.with_exposure."
            raise ValueError(msg)
        exposure[self.cube.pixel_mask] = np.nan
        found = {}
        for name, image in self.images.items():
            errors = None if image.uncertainty is None else image.uncertainty.array / exposure.value
            found[name] = sky_image(self.cube, image.data / exposure.value, errors, u.count / exposure.unit)
        return MappingProxyType(Named(found, "image"))

    @property
    def spectra(self):
        """Component spectra, a `~astropy.table.QTable` with a row per energy bin.

        The columns are ``energy_lo`` and ``energy_hi`` in keV, and one per component: its counts in the bin, summed
        over the field. Where their standard deviations are known they follow, in a column called ``<name>_err``.
        """
        edges = self.cube.energy_edges
        table = QTable({"energy_lo": edges[:-1], "energy_hi": edges[1:]})
        for k, (name, spectrum) in enumerate(zip(self.names, self.fit.component_spectra().T)):
            table[name] = spectrum * u.count
            if self.spectra_uncertainty is not None:
                table[f"{name}_err"] = self.spectra_uncertainty[:, k] * u.count
        return table

    def region_spectra(self, region):
        """Tabulate the spectra in a part of the sky.

        Parameters
        ----------
        region : str, `os.PathLike`, `~regions.Region`, list of `~regions.Region` or array_like of bool
            A DS9 or CIAO region file, shapes, or a mask of shape (ny, nx) that is true inside; see
            `~astro_lpalm.cube.EventCube.with_mask`. Pixels belong to it whose centres lie in it.

        Returns
        -------
        `~astropy.table.QTable`
            A row per energy bin: ``energy_lo``, ``energy_hi``; ``data``; the counts of each component and their
            standard deviation, ``<name>`` and ``<name>_err``; and ``residual``, what of the data the model leaves. Its
            ``meta`` has ``n_pixels`` and ``area``, of the unmasked pixels.

        Raises
        ------
        ValueError
            If the region holds no unmasked pixel, or cannot be read.

        Notes
        -----
        Without ``local`` spectra a component has the same spectrum everywhere, and only its brightness is that of the
        region. Its error is that
        of the brightness, the photon noise of the region's data in the least-squares images, and that of the spectrum:
        ``spectra_uncertainty``, or else what `write_pha` writes. Errors in different bins go together. Where the
        spectrum itself may differ from place to place, look at a component and the residual together, as
        ``write_pha(region=...)`` does.
        """
        return region_table(self, region)

    def model_cube(self):
        """Make the cube that the components add up to.

        Returns
        -------
        `~astro_lpalm.cube.EventCube`
            ``mixing @ sources``, or as many counts with ``local`` spectra, and the background, on the grid, energies
            and mask of ``cube``, in float32 if the data are float32 and float64 if they have more digits; excluded
            pixels are zero. Of a cube that is read plane by plane, another such, whose planes are computed.
        """
        dtype = np.result_type(self.cube.planes(np.s_[:1]), np.float32)
        if self.cube.is_lazy:
            return self.cube._with(data=Planes(self.cube.shape, dtype, partial(expected_planes, self.fit, dtype)))
        return self.cube.with_matrix(self.fit.expected().astype(dtype, copy=False))

    @property
    def residuals(self):
        """Data minus model in counts, `~astropy.nddata.NDData` of shape (m, ny, nx).

        Excluded pixels are masked and NaN. Computed when asked for, and not kept. Of a cube that is read plane by plane
        the data are `~astro_lpalm.cube.Planes`: ``residuals.data[3]`` is an array.
        """
        planes, mask = self.residual_planes(), np.broadcast_to(self.cube.pixel_mask, self.cube.shape)
        if not self.cube.is_lazy:
            planes, mask = np.asarray(planes), mask.copy()
        return NDData(planes, unit=u.count, wcs=self.cube.wcs, mask=mask)

    def residual_planes(self, dtype=float):
        """Give data minus model as `~astro_lpalm.cube.Planes` of a type, which are computed when they are read."""
        return Planes(self.cube.shape, dtype, partial(left_planes, self.fit, dtype))

    def __repr__(self):
        edges, unit = self.cube.energy_edges.value, self.cube.energy_edges.unit
        width = max(map(len, self.names))
        rows = [
            f"    {row['component']:<{width}}  {row['counts'].value:14,.1f} counts  {row['share']:6.1%}"
            for row in self.diagnostics
        ]
        title = (
            f"<Separation of {self.cube.counts.spectrum().sum():,.0f} counts, cube {self.cube.shape}, "
            f"{edges[0]:g} to {edges[-1]:g} {unit}, components:"
        )
        maps = [f"{each.component} {each.parameter}" for each in self.maps]
        rows += [f"    maps: {', '.join(maps)}"] if maps else []
        return "\n".join([title, *rows]) + ">"
