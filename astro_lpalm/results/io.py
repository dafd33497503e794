"""How a `Separation` is written, read and drawn."""

from pathlib import Path

import astropy.units as u

from .._files import check_output, complete_or_nothing, naming
from ._card import separation_card
from ._fits import read_separation, write_separation
from ._pha import write_spectra

__all__ = ["SeparationIO"]


class SeparationIO:
    """What a `Separation` has from files and has for files; a mix-in, as `~astropy.nddata.NDIOMixin` is one."""

    def write(self, path, *, overwrite=False):
        """Write everything to one FITS file, from which `read` rebuilds the separation.

        The file has the provenance in its primary header; one image per component, named after it, in counts and with
        the celestial WCS of the input; the tables SPECTRA (counts), MIXING (the spectra as ``mixing`` has them),
        EBOUNDS and DIAGNOSTICS; and the image RESIDUAL (energy, y, x), which added to the model gives the data. The
        image COVARIANCE (component, energy, energy) has the errors of the spectra, in double precision, and the table
        PARAMETERS the physical parameters, where there are such. Where
        there is an exposure map, it is there as EXPOSURE, and `flux_images` are, named after the components and _FLUX;
        a background as BACKGROUND_MODEL (energy, y, x). Of a cube of photons, the compressed image COUNTS has these in
        place of RESIDUAL, and BACKGROUND_IMAGE and BACKGROUND_SPECTRUM have a background that is their product (of
        several observations, the sum of the products of each), as of a cube that is read plane by plane, whose RESIDUAL
        is written in the same way.
        Standard deviations are in images named after the components and _ERR, and columns of SPECTRA.

        Smooth images are named after the components and _SMOOTH, their errors _SMOOTH_ERR. A map of a parameter is
        named after component and parameter, such as THERMAL_KT, in the parameter's unit, and its errors THERMAL_KT_ERR.
        It is NaN where the data say nothing of the parameter; what was assumed there is in THERMAL_KT_PRIOR. Spectra
        that differ from pixel to pixel are the combinations of the spectra in the table LOCAL_BASIS, each with its
        component, that the image LOCAL_COEFFICIENTS (basis spectrum, y, x) has.

        Parameters
        ----------
        path : str or `os.PathLike`
            The file to write; with a name that ends in ``.gz`` it is compressed.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is false.
        OSError
            If it cannot be written. Whatever goes wrong, no incomplete file is left.
        """
        write_separation(self, path, overwrite=overwrite)

    @classmethod
    def read(cls, path, *, memmap=None):
        """Read a separation that `write` has written.

        Parameters
        ----------
        path : str or `os.PathLike`
        memmap : bool, optional
            Whether the residuals stay in the file, and the cube is read from it plane by plane; see
            `EventCube.read <astro_lpalm.cube.EventCube.read>`.

        Returns
        -------
        `Separation`
            The same to the rounding of float32, in which images are kept. Data in excluded pixels are not kept.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        OSError
            If the file is not FITS, or is truncated.
        ValueError
            If it is FITS, but not a separation.
        """
        with naming(path):
            return cls(**read_separation(path, memmap))

    def write_pha(self, prefix, *, response=None, region=None, overwrite=False):
        r"""Write the spectrum of each component as an OGIP PHA file, for Sherpa or XSPEC.

        Parameters
        ----------
        prefix : str or `os.PathLike`
            An existing directory, for files called ``<name>.pha`` in it; otherwise the beginning of the names
            ``<prefix>_<name>.pha``.
        response : `~astro_lpalm.instrument.Response`, tuple of 2 str or path, or None
            The response of the observation, or the names of its ARF and RMF. On the cube's energy bins it is written
            too, as ``response.arf`` and ``response.rmf`` (``<prefix>_response.arf`` and so on), and the spectra name
            it: they can be fitted as they are.
        region : optional
            A part of the sky, as `region_spectra` takes it, instead of the whole field.
        overwrite : bool
            Whether existing files may be replaced.

        Returns
        -------
        list of `pathlib.Path`
            The PHA files, in the order of ``names``.

        Raises
        ------
        FileExistsError
            If a file exists and ``overwrite`` is false.
        OSError
            If a file cannot be written or read. Whatever goes wrong, either all files are written or none.
        ValueError
            If the cube's energies go beyond the response's channels, its header has no EXPOSURE for a response, a file
            of the response would be replaced, or the region cannot be used.

        Notes
        -----
        CHANNEL counts the cube's energy bins from 1, as in the EBOUNDS extension of the same file; the response has the
        same channels, made of those of the instrument: one that the edge of a bin cuts is parted in proportion.
        RESPFILE and ANCRFILE of the observation, which have other channels, are not named, nor is BACKFILE, as the
        components are net of each other. COUNTS are estimates, not photons counted, so POISSERR is false: use a
        chi-square statistic, and in Sherpa ``load_pha(name, use_errors=True)``.

        STAT_ERR of the field is the Poisson noise of the data propagated through the least-squares fit of the spectra
        to the images, :math:`A = X S^+`: with :math:`s` the sum of row k of :math:`S` and :math:`q` column k of
        :math:`S^+`, the variance is :math:`s^2 \sum_j q_j^2 (A S)_{ij}`, and not less than one count. The noise of
        the images is taken away from the products in :math:`S^+`; otherwise they are taken as known. Where
        ``spectra_uncertainty`` is larger it is written instead. Where it is smaller, as spectra are held to what a
        library knows, it holds for each bin but not for a fit, which takes the errors of bins as independent: it would
        count the same photons several times.

        The spectra of a region are its data minus the other components, so that they may differ from the field's. Their
        variance is that of all photons in the region, times the variance inflation factor: a fit finds the
        component's brightness as precisely as one of all components together.
        """
        return write_spectra(self, prefix, response=response, region=region, overwrite=overwrite)

    def plot(self, path=None, *, kind="summary", panels=None, width=180 * u.mm, overwrite=False, figure=None):
        r"""Draw the component images, their spectra over the data's, and what is left of the data; or maps.

        Parameters
        ----------
        path : str, `os.PathLike`, or None
            A file to save the figure in, at 300 dots an inch; its ending gives the format.
        kind : {"summary", "maps"}
            "maps": of each component its smooth image and its maps of parameters, and the smooth images on top of
            each other; without smooth images those of ``images``.
        panels : sequence of str or None
            Of the summary which to draw, all by default: "images"; "composite", all of them on top of each other (of
            more than six those with most counts), each in the colour of its spectrum; "misfit", where on the sky the
            model fails; "spectra", with residuals; "parameters", where there are any, each within its range.
        width : `~astropy.units.Quantity`
            Of a new figure, which is made as high as it needs: 180 mm is that of a journal's page, 88 mm that of a
            column.
        overwrite : bool
            Whether an existing file may be replaced.
        figure : `~matplotlib.figure.Figure` or None
            An empty figure to draw in, of whatever size, instead of a new one.

        Returns
        -------
        `~matplotlib.figure.Figure`

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is false.
        OSError
            If it cannot be written.
        ValueError
            If the ending of ``path`` is not one of matplotlib's formats, there is no such kind or panel, panels are
            given for "maps", there are neither smooth images nor maps for it, or the width is not between 60 and
            500 mm.

        Notes
        -----
        Images have an asinh stretch. Bands around spectra are their standard deviations: ``spectra_uncertainty`` or,
        without it, the photon noise that `write_pha` writes.

        The misfit of a pixel compares the squares of its residuals with the Poisson noise of the model's counts M,
        :math:`\sum_i [(X - M)_i^2 - (1 - h_i) M_i] / \sqrt{\sum_i (2 M_i^2 + M_i)}`, with h the share of noise that the
        images take up: noise makes it scatter around 0 by about 1. Where pixels have fewer than 30 counts on average,
        it is that of blocks of 2 x 2, 4 x 4, ... pixels. Residuals themselves, summed over energy,
        vanish: least squares shares all counts of a pixel out.

        The colours of a map go from the 1st to the 99th percentile of what the data decide; they are even about zero
        where values of both signs are. A map fades to grey where it is not known: with an error e and colours for
        values that differ by 4 s, its opacity is :math:`1 / (1 + e^2 / s^2)`. Pixels that are undecided are grey.
        Contours are those of the component's smooth image, at 10 and 40 % of its brightest parts.
        """
        if kind not in ("summary", "maps") or (kind == "maps" and panels is not None):
            msg = (
                f"kind={kind!r} with panels={panels!r}: kind must be 'summary' or 'maps', and panels are the summary's."
            )
            raise ValueError(msg)
        from ._plot import plot_separation  # matplotlib only where something is drawn
        from ._plot_maps import plot_maps

        if path is not None:
            check_output(path, overwrite=overwrite)
        figure = plot_maps(self, figure, width) if kind == "maps" else plot_separation(self, figure, panels, width)
        if path is not None:
            with complete_or_nothing(path, overwrite=overwrite) as temporary:
                figure.savefig(temporary, dpi=300, format=Path(path).suffix[1:] or "png")
        return figure

    def report(self, path, *, format=None, overwrite=False):
        r"""Write a report: one page for a browser that needs nothing else, or a PDF file.

        It has the observation, the warnings, images, smooth images and maps, spectra, residuals on the sky at all
        energies and in four bands, physical parameters and fluxes, the diagnostics with what they mean, and what made
        it, with the command or call that makes it again. The page opens offline, without Python: its pictures have sky
        coordinates and are zoomed together, and a cursor reads values, errors and positions off all of them.

        Parameters
        ----------
        path : str or `os.PathLike`
            The file to write; its ending gives the format.
        format : str, optional
            "html" or "pdf", where the ending does not say it, or is to be overruled.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is false.
        OSError
            If it cannot be written.
        ValueError
            If the format is another.

        Notes
        -----
        Residuals in a band of energies are data minus model, over the noise that least squares leave in it: for counts
        of variance :math:`V_i` and residuals :math:`(1 - A D) X`, the variance of their sum over a band B is
        :math:`\sum_i [\sum_{b \in B} (1 - A D)_{bi}]^2 V_i`. Where spectra differ from pixel to pixel, A and D are
        those of the field. Values under the cursor are kept in 16 bits, between the lowest and the highest of a
        picture; of images larger than 320 pixels they are means over blocks, and pictures are so beyond 1024.
        """
        from .report import write_report  # matplotlib only where something is drawn

        write_report(self, path, format=format, overwrite=overwrite)

    def _repr_html_(self):
        return separation_card(self)
