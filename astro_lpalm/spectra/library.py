"""Libraries of template spectra: what the columns of A may look like."""

import os
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table

from .._files import open_fits, write_fits
from ..data import find_components_file
from ..grid import ebounds_hdu, read_ebounds
from ..grid.channels import check_energy_edges
from ..grid.nesting import difference
from ..instrument.response import Response
from .absorption import PhotoelectricAbsorption
from .components import ModelComponent, SampleComponent, check_library_names
from .components_file import read_spectra_settings
from .integration import split_bins
from .prior import SpectralPrior
from .priors import Prior

__all__ = ["SpectralLibrary"]

_CHUNK = 500  # draws folded at once: bounds the memory, and stays in the processor's cache


class SpectralLibrary:
    """Named components and how to draw a spectrum of each.

    Make one with `from_file` or `from_arrays`, or from components.

    Parameters
    ----------
    components : list of ModelComponent or SampleComponent
    energy_edges : `~astropy.units.Quantity` or array
        Shape (m + 1,); keV where there is no unit.
    response : Response, optional
        Folds the models into the bins of ``energy_edges``, which are its channels; not needed for samples.
    nh : Prior, optional
        Column density in 1e22 / cm2, drawn once for all components of a mixing matrix.
    absorption : type
        What absorbs: `PhotoelectricAbsorption` or `TBAbs`.
    text : str, optional
        The components file that says all this, to be made again for another response (`from_text`).

    Raises
    ------
    ValueError
        If there is no component, names cannot be used or are given twice, or the response has other channels.

    Examples
    --------
    >>> from astro_lpalm.spectra import ModelComponent, Prior, SpectralLibrary, Synchrotron, Thermal
    >>> from astro_lpalm.missions import approximate_response
    >>> response = approximate_response([0.5, 1, 2, 4, 7])
    >>> hard = ModelComponent("hard", Synchrotron, {"photon_index": Prior(1.5, 2.5)})
    >>> both = ModelComponent("both", Thermal() + Synchrotron(), {"kT_0": Prior(0.5, 2.0), "amplitude_1": Prior(0, 3)})
    >>> SpectralLibrary([hard, both], response.channel_edges, response=response).draw(10, seed=0).shape
    (10, 4, 2)
    >>> library = SpectralLibrary.from_file("snr-acis")
    >>> library.component_names
    ['synchrotron', 'thermal', 'iron_red', 'iron_blue']
    >>> library.draw(10, seed=0).shape
    (10, 65, 4)
    """

    def __init__(
        self, components, energy_edges, *, response=None, nh=None, absorption=PhotoelectricAbsorption, text=""
    ):
        edges = check_energy_edges(energy_edges)
        self.components = list(components)
        self.component_names = [component.name for component in self.components]
        check_library_names(self.component_names)
        if response is None and any(isinstance(component, ModelComponent) for component in self.components):
            msg = "components with a model need a response; pass response=approximate_response(energy_edges)."
            raise ValueError(msg)
        if response is not None and (differs := difference(edges, response.channel_edges.to_value(u.keV), same=True)):
            msg = (
                f"the channels of {response!r} are not the bins of energy_edges ({len(edges) - 1}): {differs}; use the "
                "same edges, as response.rebin(energy_edges) makes them."
            )
            raise ValueError(msg)
        for component in self.components:
            if isinstance(component, SampleComponent) and component.samples.shape[1] != len(edges) - 1:
                msg = (
                    f"the spectra of {component.name!r} have shape {component.samples.shape}; energy_edges ask for "
                    f"(N, {len(edges) - 1})."
                )
                raise ValueError(msg)
        self.energy_edges = edges * u.keV
        self.response, self.text = response, text
        self.absorption = absorption
        self._fine = None if response is None else _refined(response, absorption.jumps())
        bounds = absorption.nh.bounds
        nh = Prior(0.0, 0.0) if nh is None else nh
        self.nh = nh.within(bounds) if isinstance(nh, Prior) else Prior.parse(nh, bounds)

    @classmethod
    def from_file(cls, path, *, energy_edges=None):
        """Read a components file, or a FITS file of template spectra.

        Parameters
        ----------
        path : str or `os.PathLike`
            A TOML file, or the name of a packaged one ("snr-acis", "pwn-acis"); or a FITS file with an image of
            shape (N, m) for each component, N spectra of m energies, in an extension of its name, and an ``EBOUNDS``
            table, as `write` makes it.
        energy_edges : `~astropy.units.Quantity`, optional
            Energy bins to use instead of those of a components file, shape (m + 1,); or the energies of the spectra
            of a FITS file that has no ``EBOUNDS``.

        Returns
        -------
        library : SpectralLibrary

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        OSError
            If a file cannot be read.
        ValueError
            If it is not TOML, or a key or value in it is not allowed; says which, and what is. If a FITS file has
            no spectra, or no energies.

        Examples
        --------
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> library = SpectralLibrary.from_file("snr-acis")
        >>> library.component_names
        ['synchrotron', 'thermal', 'iron_red', 'iron_blue']
        >>> library.draw(10, seed=0).shape
        (10, 65, 4)
        """
        path = find_components_file(path)
        with path.open("rb") as file:
            start = file.read(9)
        if start.startswith((b"SIMPLE  =", b"\x1f\x8b")):  # FITS, or gzip
            return cls._from_templates(path, energy_edges)
        settings = read_spectra_settings(path, energy_edges=energy_edges)
        text = path.read_text(encoding="utf-8-sig")
        return cls._from_settings(settings, text)

    @classmethod
    def from_text(cls, text, *, response=None, energy_edges=None):
        """Make the library that a components file says, for another response or other energy bins.

        Parameters
        ----------
        text : str
            What is in the file.
        response : Response, optional
            In place of the file's. Its channels are the energy bins.
        energy_edges : `~astropy.units.Quantity`, optional
            Energy bins in place of the file's, shape (m + 1,), where there is no response.

        Returns
        -------
        library : SpectralLibrary

        Raises
        ------
        ValueError
            If the text is no components file, or names other files, which are not at hand.

        Examples
        --------
        >>> from astro_lpalm.missions import approximate_response
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> text = SpectralLibrary.from_file("snr-acis").text
        >>> SpectralLibrary.from_text(text, response=approximate_response([1, 2, 4, 7], "acis-i"))
        <SpectralLibrary: synchrotron, thermal, iron_red, iron_blue; 3 bins, 1 to 7 keV>
        """
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "components.toml"
            path.write_text(text, encoding="utf-8")
            try:
                settings = read_spectra_settings(path, energy_edges=energy_edges, response=response)
            except (OSError, ValueError) as error:
                said = str(error).replace(str(path), path.name).replace(f"{directory}{os.sep}", "")
                msg = f"the components cannot be made for another response or other energies: {said}"
                raise ValueError(msg) from error
        return cls._from_settings(settings, text)

    @classmethod
    def _from_settings(cls, settings, text):
        given = {"response": settings.response, "nh": settings.nh, "absorption": settings.absorption}
        return cls(settings.components, settings.energy_edges, **given, text=text)

    @classmethod
    def _from_templates(cls, path, energy_edges):
        with open_fits(path) as hdulist:
            images = [hdu for hdu in hdulist if hdu.is_image and hdu.data is not None]
            names = [hdu.header.get("EXTNAME", "") for hdu in images]
            spectra = {name: np.array(hdu.data, dtype=float) for name, hdu in zip(names, images)}
            ebounds = hdulist["EBOUNDS"].copy() if "EBOUNDS" in hdulist else None
        try:
            if len(spectra) < len(names):
                msg = f"the extension '{max(names, key=names.count)}' is there twice; each component has one."
                raise ValueError(msg)
            own = None if ebounds is None else read_ebounds(ebounds)
            edges = own if energy_edges is None else check_energy_edges(energy_edges) * u.keV
            if edges is None:
                msg = "there is no EBOUNDS table that gives the energies of the spectra; pass energy_edges."
                raise ValueError(msg)
            if own is not None and (differs := difference(edges.value, own.value, same=True)):
                msg = f"energy_edges are not those of its EBOUNDS table, {differs}; leave them out."
                raise ValueError(msg)
            return cls.from_arrays(spectra, edges)
        except ValueError as error:
            msg = f"'{path}': {error}"
            raise ValueError(msg) from error

    @classmethod
    def from_arrays(cls, spectra, energy_edges):
        """Take arrays of spectra as they are.

        Parameters
        ----------
        spectra : dict
            Arrays of shape (N, m) by component name, non-negative, in counts or any unit; N may differ.
        energy_edges : `~astropy.units.Quantity` or array
            Shape (m + 1,); keV where there is no unit.

        Returns
        -------
        library : SpectralLibrary
            Its draws pick rows at random, independently for each component.

        Raises
        ------
        ValueError
            If a shape does not match, or a spectrum is negative, not finite or zero everywhere.

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> library = SpectralLibrary.from_arrays({"flat": np.ones((5, 4)), "steep": np.eye(4)}, [1, 2, 3, 4, 5])
        >>> library.draw(2, seed=0).shape
        (2, 4, 2)
        """
        return cls([SampleComponent(name, samples) for name, samples in spectra.items()], energy_edges)

    def draw_parameters(self, n, seed=None):
        """Draw what `draw` makes spectra of, with the same seed.

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int or `numpy.random.Generator`, optional

        Returns
        -------
        parameters : dict
            Arrays of shape (n,): "nh" (1e22 / cm2), and under each component's name a dict of its parameters (or rows).

        Raises
        ------
        ValueError
            If ``n`` is not a positive whole number.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            msg = f"n is {n!r}; give the number of draws, 1 or more."
            raise ValueError(msg)
        rng = np.random.default_rng(seed)
        drawn = {component.name: component.draw_parameters(n, rng) for component in self.components}
        return {"nh": self.nh.draw(n, rng), **drawn}

    def draw(self, n, seed=None):
        """Draw mixing matrices.

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int or `numpy.random.Generator`, optional
            The same seed gives the same arrays.

        Returns
        -------
        spectra : array
            Shape (n, m, n_components), float64, non-negative, each column of unit l2 norm.

        Raises
        ------
        ValueError
            If ``n`` is not a positive whole number, or a component has no photons in the energy range.
        """
        parameters = self.draw_parameters(n, seed)
        spectra = np.empty((n, len(self.energy_edges) - 1, len(self.components)))
        for start in range(0, n, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            instrument = self._instrument(parameters["nh"][chunk])
            for k, component in enumerate(self.components):
                drawn = {name: values[chunk] for name, values in parameters[component.name].items()}
                with np.errstate(over="ignore", invalid="ignore"):  # found below, and said in words
                    spectra[chunk, :, k] = component.spectra(drawn, *instrument)
        with np.errstate(over="ignore", invalid="ignore"):
            norm = np.linalg.norm(spectra, axis=1, keepdims=True)
        low, high = self.energy_edges[[0, -1]].value
        for k, name in enumerate(self.component_names):
            if not (np.all(spectra[:, :, k] >= 0) and np.all(norm[:, :, k] < np.inf)):
                msg = f"{name!r} has negative or infinite spectra for some parameters; change its model or its ranges."
                raise ValueError(msg)
            if not np.all(norm[:, :, k] > 0):
                msg = (
                    f"{name!r} has no photons between {low:g} and {high:g} keV for some parameters; change its ranges."
                )
                raise ValueError(msg)
        return spectra / norm

    def _instrument(self, nh):
        """Edges of narrow bins of true energies, and the function that makes counts of photons in these bins."""
        if self._fine is None:
            return None, None
        edges = self._fine.energy_edges.value
        with np.errstate(over="ignore"):  # of so much gas nothing comes through
            transmission = self.absorption.integral(edges, nh[:, None]) / np.diff(edges) if nh.any() else 1.0
        return edges, lambda photons: self._fine.fold(photons * transmission)

    def statistics(self, rank=10, *, n=1000, seed=0):
        """Mean, principal vectors and the share of the variance that they explain, of each component, from draws.

        Parameters
        ----------
        rank : int
            How many principal vectors.
        n : int
            Number of draws they are computed from.
        seed : int or `numpy.random.Generator`, optional

        Returns
        -------
        statistics : SpectralPrior

        Raises
        ------
        ValueError
            If ``rank`` is not between 1 and the number of energy bins.

        Examples
        --------
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> statistics = SpectralLibrary.from_file("snr-acis").statistics(rank=5, n=100)
        >>> statistics.principal.shape
        (4, 5, 65)
        """
        m = len(self.energy_edges) - 1
        if not 1 <= rank <= m:
            msg = f"rank is {rank}; give a number between 1 and {m}, the number of energy bins."
            raise ValueError(msg)
        return SpectralPrior.of_draws(self.draw(n, seed), rank)

    def summary(self, rank=5, *, n=1000, seed=0):
        """Tabulate the components, what is drawn, and how few principal vectors describe the draws.

        Parameters
        ----------
        rank : int
            Up to how many principal vectors.
        n : int
            Number of draws the shares are computed from.
        seed : int or `numpy.random.Generator`, optional

        Returns
        -------
        table : `~astropy.table.Table`
            A row for each component: its name, the number of its drawn parameters, and ``explained_1`` to
            ``explained_<rank>``, the fraction of the variance about the mean that so many principal vectors explain
            together. ``meta`` tells the ranges of the parameters of each, and of the common absorption (``nh``).

        Raises
        ------
        ValueError
            See `statistics`.

        Examples
        --------
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> templates = {"varied": [[2, 1, 0], [1, 2, 0], [0, 0, 1]], "fixed": [[1, 2, 1]]}
        >>> table = SpectralLibrary.from_arrays(templates, energy_edges=[1, 2, 3, 4]).summary(rank=2)
        >>> print(table)
        component n_drawn explained_1 explained_2
        --------- ------- ----------- -----------
           varied       1      0.8710      1.0000
            fixed       1      0.0000      0.0000
        >>> table.meta["varied"]
        'row one of 3'
        """
        share = np.cumsum(self.statistics(rank, n=n, seed=seed).share, axis=1)
        drawn = {component.name: component.drawn for component in self.components}
        table = Table({"component": self.component_names, "n_drawn": [len(each) for each in drawn.values()]})
        for k in range(rank):
            table[f"explained_{k + 1}"] = share[:, k]
            table[f"explained_{k + 1}"].info.format = ".4f"
        table.meta["nh"] = str(self.nh)
        table.meta |= {name: ", ".join(f"{key} {value}" for key, value in each.items()) for name, each in drawn.items()}
        return table

    def write(self, path, *, n=1000, seed=0, overwrite=False):
        """Write draws to a FITS file of template spectra, which `from_file` reads.

        Parameters
        ----------
        path : str or `os.PathLike`
        n : int
            Number of spectra of each component.
        seed : int or `numpy.random.Generator`, optional
        overwrite : bool

        Raises
        ------
        OSError
            If the file exists and may not be overwritten, or cannot be written.
        """
        hdus = [fits.PrimaryHDU()]
        for name, spectra in zip(self.component_names, np.moveaxis(self.draw(n, seed), 2, 0)):
            hdus.append(fits.ImageHDU(spectra.astype(np.float32)))
            hdus[-1].header["EXTNAME"] = name  # as it is: the attribute name would be in capitals
        write_fits(fits.HDUList([*hdus, ebounds_hdu(self.energy_edges)]), path, overwrite=overwrite)

    def __repr__(self):
        low, high = self.energy_edges[[0, -1]].value
        names = ", ".join(self.component_names)
        return f"<SpectralLibrary: {names}; {len(self.energy_edges) - 1} bins, {low:g} to {high:g} keV>"


def _refined(response, jumps):
    """Give the bins in which models are integrated the rows of the true bins that they are parts of."""
    fine, starts = split_bins(response.energy_edges.to_value(u.keV), jumps)
    pieces = np.diff(np.append(starts, len(fine) - 1))
    rows = np.repeat(np.arange(len(pieces)), pieces)
    return Response(response.matrix[rows], fine, response.channel_edges)
