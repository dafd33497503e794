"""
From a separation to a paper's table
====================================

A separation ends with numbers: a temperature, a photon index, a flux, each with an error. This page takes a remnant
whose components lie on top of one another, separates it with the observation's own response, and goes through what a
referee would ask: which parameters are measured and which are not, what of a flux's error is the split between the
components, how a spectrum is fitted that was not counted but inferred, and what was done to check all this. At the
end stands the table.
"""

# %%
# An observation
# --------------
# As in :ref:`sphx_glr_generated_plot_sherpa.py` this section stands for the archive. Two fifths of the synchrotron
# emission have the image of the thermal emission: no choice of a region would part them. The response is that of a
# telescope whose filter has been contaminated over the years, as Chandra's has: fewer soft photons are seen than the
# packaged model was trained to expect.

from pathlib import Path
from tempfile import mkdtemp

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord

import astro_lpalm
from astro_lpalm.demo import remnant_images
from astro_lpalm.instrument import Instrument, Response, response_on_bins
from astro_lpalm.missions import approximate_response
from astro_lpalm.simulate import Observation
from astro_lpalm.spectra import EmissionLine, PhotoelectricAbsorption, Synchrotron, Thermal, integrate

folder = Path(mkdtemp())
clean = approximate_response(0.0146 * np.arange(28, 600) * u.keV)


def middle(edges):
    return 0.5 * (edges[1:] + edges[:-1]).to_value(u.keV)


def with_area(response, factor):
    """Multiply the effective area, at each true energy."""
    return Response(response.matrix * factor[:, np.newaxis], response.energy_edges, response.channel_edges)


contamination = np.exp(-0.5 * middle(clean.energy_edges) ** -2.5)
with_area(clean, contamination).write(folder / "remnant.arf", folder / "remnant.rmf")

gas = PhotoelectricAbsorption(nh=1.2)
abundances = {"O": 1.0, "Ne": 0.5, "Mg": 0.6, "Si": 4.0, "S": 4.5, "Ar": 4.0, "Ca": 5.0, "Fe": 0.4}
models = {
    "synchrotron": gas * Synchrotron(photon_index=2.6),
    "thermal": gas * Thermal(kT=1.6, ionization=0.8, velocity=-500.0, sigma=1000.0, **abundances),
    "iron_red": gas * EmissionLine(energy=6.66, velocity=3500.0, sigma=1500.0),
    "iron_blue": gas * EmissionLine(energy=6.66, velocity=-3500.0, sigma=1500.0),
}
flux = dict(zip(models, (0.03, 0.05, 0.002, 0.0015)))  # photon / (cm2 s)
size, exposure, center = 80, 50 * u.ks, SkyCoord("23h23m27.8s", "+58d48m54s")
images = remnant_images(size, seed=14)
images["synchrotron"] = 0.6 * images["synchrotron"] + 0.4 * images["thermal"]
observation = Observation(
    np.array([flux[name] * images[name] for name in models]) * u.photon / u.cm**2 / u.s,
    list(models.values()),
    response=(folder / "remnant.arf", folder / "remnant.rmf"),
    exposure=exposure,
    center=center,
    pixel_scale=3 * u.arcsec,
    component_names=list(models),
)
observation.draw(seed=5).writeto(folder / "acis_evt2.fits")

# %%
# Separating, with its own response
# ---------------------------------
# ``instrument`` has the response that the observation was made with. The network of the model stays as it is; what it
# finds is only the start. The spectra of the components are made anew for this response, and all of their parameters
# are fitted to the counts (:doc:`/how_it_works`).

model = astro_lpalm.load_model("snr-acis")
cube = astro_lpalm.EventCube.from_events(
    folder / "acis_evt2.fits",
    energy_edges=model.energy_edges,
    pixel_scale=3 * u.arcsec,
    center=center,
    size=size * 3 * u.arcsec,
)
instrument = Instrument(response=(folder / "remnant.arf", folder / "remnant.rmf"))
result = astro_lpalm.separate(cube, model, instrument=instrument)
result.diagnostics

# %%
# No warning, and no component whose ``goodness`` says that its spectra do not fit. The synchrotron emission shows in
# the rim; what of it lies inside the shell is told from the thermal emission by its spectrum alone.

panels = ["images", "composite", "misfit", "spectra"]
shape = result.plot(panels=panels).get_size_inches()  # a figure of a page's width, as high as it needs
figure = result.plot(panels=panels, figure=plt.figure(figsize=shape, dpi=150))

# %%
# The parameters
# --------------
# ``result.parameters`` has a row for every parameter that the components file gives a range to, those that are not
# measured too, and last, since the list has an exposure time, the amplitude and the flux of each component: the energy
# flux that would arrive in the model's 0.5 to 7 keV if nothing were absorbed. The same table is printed by
# ``astro-lpalm info``, and is in the file of the result. Errors are the distances from ``value`` to the ends of the
# interval that holds 68 %.

result.parameters

# %%
# ``value`` is the most probable value of all parameters together, and two columns say when it is no measurement:
#
# ``undecided``
#     The data say so little that the range decides: another range would have given another value and error. Here these
#     are energy and velocity of the iron lines, since a line seen at 6.58 keV can be emitted at 6.62 or at 6.70 keV,
#     with another velocity.
# ``at_limit``
#     The value ended at an end of the range, and is quoted as a limit. The cutoff is one: the data allow everything
#     above some tens of keV. So is oxygen, whose lines at 0.65 keV the absorption has left next to nothing of.
#
# What goes along with a parameter at its limit has an interval that lies mostly on one side of the value, such as the
# abundances here: their sum makes up for what oxygen does to the continuum. Where all of it does, quote it by its ends.
# In the figure the grey bar is the range and the coloured one the interval; open circles are at limits, and grey is
# what is undecided.

shape = result.plot(panels=["parameters"]).get_size_inches()
figure = result.plot(panels=["parameters"], figure=plt.figure(figsize=shape, dpi=150))

# %%
# Since the truth is known here: of what is decided, so much is within its interval.

known = instrument.response
keV = middle(known.energy_edges)
in_band = (keV > 0.5) & (keV < 7)
true_values = {("all", "nh"): 1.2}
for name, absorbed in models.items():
    emission = absorbed[1]
    true_values |= {(name, each): getattr(emission, each).value for each in emission.param_names}
    amplitude = flux[name] / integrate(absorbed, known.energy_edges).value.sum()
    energies = keV * u.keV.to(u.erg) * integrate(emission, known.energy_edges).value
    true_values |= {(name, "amplitude"): amplitude, (name, "flux"): amplitude * energies[in_band].sum()}
inside = []
for row in result.parameters:
    true = true_values[row["component"], row["parameter"]]
    if not row["undecided"] and not true > row["high"]:  # no interval within the range can hold a cutoff beyond it
        inside.append(row["value"] - row["error_low"] <= true <= row["value"] + row["error_high"])
print(f"{sum(inside)} of {len(inside)}")

# %%
# Counts, and what the split leaves open
# --------------------------------------
# ``counts_err`` is not the square root of the counts. It holds what it is to not know the spectra, and so not to know
# which of two components that shine in the same place has the photons.

truth = observation.truth(model.energy_edges)
print(f"{'':12} {'counts':>10} {'error':>8} {'of photons alone':>17} {'(found - true) / error':>24}")
for row, true in zip(result.diagnostics, truth.diagnostics["counts"].value):
    counts, error = row["counts"].value, row["counts_err"].value
    print(f"{row['component']:12} {counts:10.0f} {error:8.0f} {np.sqrt(counts):17.0f} {(counts - true) / error:24.1f}")

# %%
# For the two continua the error is some twenty times that of counting. It is one error, not two: what one of the
# components has too much the other lacks, so that the sum of both is known far better than either.
#
# The covariance of a spectrum
# ----------------------------
# The energy bins of a component's spectrum are not counted one by one. A few parameters and a brightness make all of
# them, and they go up and down together: ``result.covariance`` says how. Divided by the errors of the bins it is a
# matrix of correlations.

energy = middle(model.energy_edges)
low, high = model.energy_edges[[0, -1]].value
# sphinx_gallery_thumbnail_number = 3
figure, axes = plt.subplots(1, 2, figsize=(7.1, 3.4), sharey=True, layout="constrained")
for axis, name in zip(axes, ("synchrotron", "thermal")):
    errors = np.sqrt(np.diag(result.covariance[name]))
    correlation = result.covariance[name] / np.outer(errors, errors)
    drawn = axis.imshow(correlation, vmin=0, vmax=1, cmap="viridis", origin="lower", extent=(low, high, low, high))
    axis.set_title(name, fontsize="medium")
    axis.set_xlabel("Energy (keV)")
axes[0].set_ylabel("Energy (keV)")
figure.colorbar(drawn, ax=axes, label="Correlation of the counts")

# %%
# Nearly all of the synchrotron spectrum is one block: it is its brightness that is uncertain. In the thermal spectrum
# the elements make stripes, since the abundance of each is a parameter of its own. Below 0.7 keV there is no signal.
# Whatever is computed of a spectrum takes its error from the whole matrix: a sum :math:`g^T c` over the bins has the
# variance :math:`g^T C g`.

for name in ("synchrotron", "thermal"):
    together, alone = np.sqrt(result.covariance[name].sum()), np.sqrt(np.trace(result.covariance[name]))
    print(f"{name:12} counts: +- {together:.0f}; if bins were independent: +- {alone:.0f}")

# %%
# The same gives what *is* measured of the iron, where it is in the spectrum, whatever its energy at rest:

for name in ("iron_red", "iron_blue"):
    line = result.spectra[name].value
    centroid = energy @ line / line.sum()
    slope = (energy - centroid) / line.sum()
    error = np.sqrt(slope @ result.covariance[name] @ slope)
    true = truth.spectra[name].value
    print(f"{name:10} at {centroid:.4f} +- {error:.4f} keV, in truth {energy @ true / true.sum():.4f} keV")

# %%
# A fit that uses it
# ------------------
# What if a paper wants a model that the components file does not have, or the flux in another band? The synchrotron
# emission shows no cutoff, so let a power law without one be fitted to its spectrum, for the photon index and the flux
# between 2 and 7 keV before absorption. `scipy.optimize.curve_fit` takes a covariance for its ``sigma``. As that has
# only as many dimensions as the component has parameters, a little is added to each bin on its own: a count, and 0.3 %
# for what models leave to be desired.

from scipy.optimize import curve_fit

response = response_on_bins(known, model.energy_edges)
band = (2.0, 7.0)  # keV


def absorbed_power_law(_, nh, index, flux):
    """Counts expected of an absorbed power law; flux before absorption in the band, 1e-11 erg / (cm2 s)."""
    unit = u.keV.to(u.erg) * (band[1] ** (2 - index) - band[0] ** (2 - index)) / (2 - index)
    law = PhotoelectricAbsorption(nh=nh) * Synchrotron(amplitude=1e-11 * flux / unit, photon_index=index)
    return (response.fold(integrate(law, response.energy_edges)) * exposure).to_value(u.ct)


counts, covariance = result.spectra["synchrotron"].value, result.covariance["synchrotron"]
own = np.diag(1 + (0.003 * counts) ** 2)
fits_of = {}
for title, sigma in {"covariance": covariance + own, "bins independent": np.diag(np.diag(covariance)) + own}.items():
    fits_of[title] = curve_fit(absorbed_power_law, None, counts, (1.0, 2.5, 10.0), sigma=sigma, absolute_sigma=True)
    best, error = fits_of[title][0], np.sqrt(np.diag(fits_of[title][1]))
    numbers = (f"{what} {value:.3f} +- {e:.3f}" for what, value, e in zip(("nH", "index", "flux"), best, error))
    print(f"{title:17}", *numbers)

true_flux = 1e11 * true_values["synchrotron", "amplitude"] * u.keV.to(u.erg) * (band[0] ** -0.6 - band[1] ** -0.6) / 0.6
print(f"{'in truth':17} nH 1.200           index 2.600           flux {true_flux:.3f}")

# %%
# Both find nearly the same; the errors are another matter. If the bins were independent, each of them would tell the
# flux anew, and its error would be seven times smaller than what the split of the components allows. The truth lies
# nine such errors away, and one with the covariance. The ellipses hold 68 % and 95 %.

from matplotlib.patches import Ellipse

figure, axis = plt.subplots(figsize=(4.6, 3.6), layout="constrained")
for (title, (best, matrix)), color in zip(fits_of.items(), ("#0072B2", "#D55E00")):
    widths, directions = np.linalg.eigh(matrix[1:, 1:])
    angle = np.degrees(np.arctan2(directions[1, 1], directions[0, 1]))
    for chi_square, alpha in ((2.30, 0.6), (5.99, 0.25)):
        long, short = 2 * np.sqrt(chi_square * widths[::-1])
        label = title if chi_square < 3 else None
        axis.add_patch(Ellipse(best[1:], long, short, angle=angle, color=color, alpha=alpha, lw=0, label=label))
axis.plot(2.6, true_flux, "*", color="k", ms=10, ls="none", label="truth")
axis.autoscale_view()
axis.set(xlabel="Photon index", ylabel=r"Flux, 2 to 7 keV ($10^{-11}$ erg cm$^{-2}$ s$^{-1}$)")
axis.legend(frameon=False, fontsize="small")

# %%
# In Sherpa, the same is a statistic of one's own. ``components.fits`` is what ``result.write`` writes below: its image
# COVARIANCE has the components in the order of the columns of MIXING. Errors of the PHA file are not used, and no bins
# are left out, as the matrix is that of all::
#
#     import numpy as np
#     from astropy.io import fits
#     from scipy.linalg import solve_triangular
#     from sherpa.astro import ui
#     from sherpa.stats import UserStat
#
#     ui.load_pha("synchrotron.pha", use_errors=True)
#     counts = ui.get_counts()
#     with fits.open("components.fits") as file:
#         place = file["MIXING"].columns.names.index("synchrotron")
#         covariance = file["COVARIANCE"].data[place] + np.diag(1 + (0.003 * counts) ** 2)
#     lower = np.linalg.cholesky(covariance)
#
#     def correlated(data, model, staterror=None, syserror=None, weight=None):
#         pulls = solve_triangular(lower, model - data, lower=True)
#         return pulls @ pulls, pulls
#
#     ui.set_stat(UserStat(correlated, name="correlated"))
#     ui.set_source(ui.xsphabs.gas * ui.powlaw1d.law)
#     ui.fit()
#     ui.covar()
#
# What was checked
# ----------------
# *The residuals.* A reduced chi square near 1 over the field, and near 1 for the continua; for the iron, which few
# energies decide, it is below:

meta = result.diagnostics.meta
print(f"reduced chi square {meta['reduced_chi_square']:.3f}, largest residual {meta['residual_sigma']:.1f} sigma")
print(", ".join(f"{row['component']} {row['goodness']:.2f}" for row in result.diagnostics))

# %%
# *The errors*, in another way: the photons are drawn again, and the parameters fitted to each drawing. Ten drawings
# tell an error to a quarter of itself. Here are the errors of the counts, as above, and from the drawings:

resampled = astro_lpalm.separate(cube, model, instrument=instrument, n_resamplings=10, seed=1, progress=False)
for one, other in zip(result.diagnostics, resampled.diagnostics):
    print(f"{one['component']:12} {one['counts_err'].value:8.0f} {other['counts_err'].value:8.0f}")

# %%
# *The response.* Calibration is good for some 3 % of the area and 0.3 % of the energies. Where an
# `~astro_lpalm.instrument.Instrument` is told so, errors of the response are fitted along with the parameters, and
# their own errors grow by what this leaves open.

instrument = Instrument(response=known, gain_error=0.003, area_error=0.03)
careful = astro_lpalm.separate(cube, model, instrument=instrument)
careful.parameters[["response" in row["component"] for row in careful.parameters]]

# %%
# The lines tell the gain far better than the calibration does. Of the area they tell little. Errors without and with
# those of the response:


def width(result, component, parameter):
    (row,) = (each for each in result.parameters if (each["component"], each["parameter"]) == (component, parameter))
    return 0.5 * (row["error_low"] + row["error_high"])


for row in result.parameters:
    if not row["undecided"]:
        name = row["component"], row["parameter"]
        print(f"{' '.join(name):24} {width(result, *name):9.2g} {width(careful, *name):9.2g}")

# %%
# What no residual tells is a response that is wrong in a way that some parameter can make up for. The packaged model's
# own has no contamination:

clean_result = astro_lpalm.separate(cube, model, instrument=Instrument(response=clean))
for title, one in {"observation's": result, "packaged": clean_result}.items():
    column, chi_square = one.parameters[0], one.diagnostics.meta["reduced_chi_square"]
    error = 0.5 * (column["error_low"] + column["error_high"])
    print(f"{title:14} nH {column['value']:.3f} +- {error:.3f}, chi square {chi_square:.3f}")

# %%
# The column density is wrong by more than thirty times its error, without a warning. So give the response.
#
# The table
# ---------
# Measured values with their errors, those of the response included; limits as limits; and intervals that lie on one
# side of the value by their ends.


def for_paper(row):
    """A value as a paper prints it, in LaTeX."""
    value, low, high = (float(row[name]) for name in ("value", "error_low", "error_high"))
    power = int(np.floor(np.log10(abs(value))))
    power = 0 if -2 <= power < 5 else power
    value, low, high = (each / 10.0**power for each in (value, low, high))
    digits = max(0, 1 - int(np.floor(np.log10(max(low, high)))))
    times = f" \\times 10^{{{power}}}" if power else ""
    if row["undecided"]:
        return "not measured"
    if row["at_limit"]:
        above = row["value"] > 0.5 * (row["low"] + row["high"])
        return f"$>{value - low:.{digits}f}$" if above else f"$<{value + high:.{digits}f}$"
    if not (low and high):
        return f"${value - low:.{digits}f}$ to ${value + high:.{digits}f}{times}$"
    return f"${value:.{digits}f}^{{+{high:.{digits}f}}}_{{-{low:.{digits}f}}}{times}$"


from astropy.table import Table

rows = [row for row in careful.parameters if row["component"] != "response"]
paper = Table(
    {
        "Component": [row["component"].replace("_", " ") for row in rows],
        "Parameter": [row["parameter"].replace("_", " ") for row in rows],
        "Value": [for_paper(row) for row in rows],
        "Unit": [u.Unit(row["unit"]).to_string("latex_inline") if row["unit"] else "" for row in rows],
    }
)
paper.write(folder / "table.tex", format="ascii.aastex", latexdict={"caption": "Best-fit parameters, 68 \\% errors"})
print((folder / "table.tex").read_text())

# %%
# The numbers themselves go along with the paper as ECSV, which keeps units and types, and everything else as one FITS
# file: from ``components.fits`` the fits above can be made again.

careful.parameters.write(folder / "parameters.ecsv")
careful.write(folder / "components.fits")
careful.write_pha(folder, response=known)
sorted(path.name for path in folder.iterdir())
