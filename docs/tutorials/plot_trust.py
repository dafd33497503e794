"""
Is this separation to be believed?
==================================

A separation always gives images and spectra, whatever it is given. This page shows what tells good ones from bad ones:
first an observation that is what the model expects, then four that are not, each with what the diagnostics say and what
to do about it; then what the uncertainties mean, and at last how to choose between models.
"""

# %%
# A good observation
# ------------------
# A remnant whose components are those of the packaged model, with spectra from its library: 100 counts a pixel on
# average.

import warnings

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.wcs import WCS
from matplotlib.colors import SymLogNorm
from matplotlib.ticker import PercentFormatter
from scipy.ndimage import gaussian_filter

import astro_lpalm
from astro_lpalm.demo import remnant_images
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.trust import block_chi_square

model = astro_lpalm.load_model("snr-acis")
size, names = 64, model.component_names
shares = {"synchrotron": 0.31, "thermal": 0.63, "iron_red": 0.035, "iron_blue": 0.025}

spectra = SpectralLibrary.from_file("snr-acis").draw(1, seed=2)[0]
spectra /= spectra.sum(axis=0)
images = remnant_images(size, seed=2)
true_images = 100 * size**2 * np.array([shares[name] * images[name] for name in names])
remnant = np.tensordot(spectra, true_images, axes=1)  # expected counts: energy, y, x

wcs = WCS(naxis=2)
wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [350.866, 58.815]
wcs.wcs.crpix, wcs.wcs.cdelt = [(size + 1) / 2] * 2, [-3 / 3600, 3 / 3600]


def observe(expected, seed=0):
    counts = np.random.default_rng(seed).poisson(expected)
    return astro_lpalm.EventCube(counts, energy_edges=model.energy_edges, wcs=wcs)


def separate(cube):
    """Separate a cube, and print what is warned of: in these pages a warning would otherwise go unseen."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = astro_lpalm.separate(cube, model)
    for warning in caught:
        print(f"{warning.category.__name__}: {warning.message}\n")
    return result


good = separate(observe(remnant))
good.diagnostics.meta

# %%
# There is no warning. What is looked at:
#
# ``residual_sigma``
#     By how much the largest residual in any block of 4 x 4 to 32 x 32 pixels, over all energies, exceeds what noise
#     and an error of 2 % in the spectra leave. Up to 10 passes.
# ``cause``
#     The likeliest cause, where data and model disagree: not here. :doc:`/warnings` has them all.
# ``structure_sigma``
#     By how much the brightness of the field varies: components are told apart by where they are. From 6 on it passes.
# ``snr_db``
#     The signal-to-noise ratio of what the network was given. It passes within 6 dB of what the model was trained for;
#     a low one is no matter where the counts themselves had the last word on the spectra, as they have by default.
# ``reduced_cstat`` and ``reduced_chi_square``
#     Near 1 where the model explains the data. Below 0.2 the latter is warned of: such data are no counts.
# ``library_distance``, in the table
#     How far each spectrum lies outside the templates of its component, in their standard deviations. Up to 5 passes,
#     or more where the component has too few counts to tell.
# ``n_iter`` and ``converged``
#     How many steps the last refinement of the spectra took, and whether it came to its end.

good.diagnostics

# %%
# A component that the model does not know
# ----------------------------------------
# Gas with a strong line at 4.5 keV, where no template has one, and 5 % of the counts.

energy = 0.5 * (model.energy_edges[1:] + model.energy_edges[:-1]).value
y, x = np.indices((size, size))


def blob(y0, x0, width):
    image = np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * width**2))
    return image / image.sum()


def with_more(spectrum, share, image):
    return remnant + share * remnant.sum() * (spectrum / spectrum.sum())[:, np.newaxis, np.newaxis] * image


line = np.exp(-0.5 * ((energy - 4.5) / 0.1) ** 2)
unknown = separate(observe(with_more(line, 0.05, blob(18, 43, 5))))

# %%
# The message says at which energy and where a spectrum is missing. A map of the residuals, here for blocks of 8 x 8
# pixels under outlines of all counts, shows how far they reach; next to it that of the good data, which is noise.
# Blocks with too few counts to tell are grey.


def misfit(**results):
    norm = SymLogNorm(linthresh=10, vmin=-1000, vmax=1000)
    figure = plt.figure(figsize=(3.7 * len(results), 3.1), layout="constrained")
    for number, (title, result) in enumerate(results.items()):
        axis = figure.add_subplot(1, len(results), number + 1, projection=wcs[::8, ::8])
        drawn = axis.imshow(block_chi_square(result.fit, 8), origin="lower", norm=norm, cmap="RdBu_r")
        axis.autoscale(False)
        outline = gaussian_filter(result.cube.image().astype(float), 1.5)
        axis.contour(outline, [100, 300], transform=axis.get_transform(wcs), colors="0.3", linewidths=0.5)
        axis.set(title=title.replace("_", " "), xlabel="R.A.", ylabel="Dec." if number == 0 else " ")
        axis.set_facecolor("0.85")
        axis.coords[0].set_ticks(number=3)
        axis.coords[1].set_ticklabel_visible(number == 0)
        for coordinate, side in zip(axis.coords, "bl"):
            coordinate.set_ticks_position(side)
    ticks = [-1000, -100, -10, 0, 10, 100, 1000]
    figure.colorbar(drawn, ax=figure.axes, label="Misfit (sigma)", ticks=ticks, format="{x:g}")


misfit(good_data=good, unknown_line=unknown)

# %%
# The residuals of that place say at which energies: next to the line, whatever the components had to do to come near
# it.


def residual_spectrum(result, title, where=np.s_[:, :]):
    residual, counts = (cube[:, *where].sum(axis=(1, 2)) for cube in (result.residuals.data, result.cube.data))
    _, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
    axis.errorbar(energy, residual / np.sqrt(np.maximum(counts, 1)), 1, fmt=".k", ms=4, lw=0.8)
    axis.axhline(0, color="0.5", lw=0.8)
    axis.set(xlabel="Energy (keV)", ylabel="Residual / noise")
    axis.set_title(title, fontsize="medium", loc="left")


residual_spectrum(unknown, "unknown line", where=np.s_[8:28, 33:53])

# %%
# *What to do*: train a model that has the component (:ref:`sphx_glr_generated_plot_library.py`), or, if it is in a
# small part of the field, mask that part. Do not use the other components as they are: they are pulled towards the
# one that is missing.
#
# A point source
# --------------
# A pulsar, say, with a power law of its own and 3 % of the counts.

pulsar = separate(observe(with_more(energy**-1.5, 0.03, blob(30, 30, 0.7))))
pulsar.diagnostics

# %%
# The message says where it is. It pulls the spectrum of the component that it resembles, here that of the synchrotron
# emission.
#
# *What to do*: mask it, and separate again. Region files do as well, such as those of ``wavdetect``.

from regions import CircleSkyRegion

pulsar_region = CircleSkyRegion(wcs.pixel_to_world(30, 30), 12 * u.arcsec)
masked = separate(pulsar.cube.with_mask(pulsar_region))
misfit(point_source=pulsar, point_source_masked=masked)

# %%
# A gain shift
# ------------
# Energies that are all 100 eV too high, as with a wrong calibration or the response of another epoch.

too_high = np.roll(remnant, 1, axis=0)
too_high[0] = 0
shifted = separate(observe(too_high))
shifted.diagnostics

# %%
# The residuals have a negative and a positive side at strong lines, everywhere in the field, which a shift of all
# energies explains best: the message says how large it is.

residual_spectrum(shifted, "energies 100 eV too high")

# %%
# *What to do*: see whether the event list was made with the calibration of its epoch (``chandra_repro`` does it). If
# it was, separate with the observation's own ARF and RMF (``instrument=``).
#
# An empty field
# --------------
# The spectrum of the remnant, but the same in every pixel.

empty = separate(observe(np.broadcast_to(remnant.mean(axis=(1, 2), keepdims=True), remnant.shape)))
empty.diagnostics

# %%
# There is nothing in the field by which components could be told apart, and the network is given noise. The spectra are
# what the library makes likely, and so are the shares of the components.
#
# *What to do*: nothing helps but a field with structure. Fit the spectrum of the field instead.
#
# All of them side by side
# ------------------------

print(f"{'':20} {'residual':>9} {'structure':>10} {'farthest spectrum':>18}  cause")
for title, result in {
    "good data": good,
    "unknown line": unknown,
    "point source": pulsar,
    "point source, masked": masked,
    "gain shift": shifted,
    "even field": empty,
}.items():
    sigma, structure = (result.diagnostics.meta[f"{name}_sigma"] for name in ("residual", "structure"))
    farthest, cause = result.diagnostics["library_distance"].max(), result.diagnostics.meta.get("cause", "")
    print(f"{title:20} {sigma:9.1f} {structure:10.1f} {farthest:18.1f}  {cause}")

# %%
# Silence is no proof, nor is a warning: :ref:`warnings-measured` has how often they are right. An error within a
# component's library, such as a temperature that changes a little over the field, moves the spectrum and leaves no
# trace.
#
# What the uncertainties mean
# ---------------------------
# Spectra and images always have errors, from the curvature of the likelihood about the parameters that were fitted. An
# error is right if the truth lies within it in 68 % of all cases. Here the truth is known. Of the energies and the
# pixels that hold more than 1 % of the brightest:

true_spectra = spectra * true_images.sum(axis=(1, 2))


def within(found, truth, error):
    used = truth > 0.01 * truth.max()
    return np.mean(np.abs(found - truth)[used] < error[used])


print(f"{'':12} {'spectrum within 1 sigma':>24} {'image within 1 sigma':>21}")
for k, name in enumerate(names):
    spectrum, error = good.spectra[name].value, good.spectra[f"{name}_err"].value
    image = good.images[name]
    print(
        f"{name:12} {within(spectrum, true_spectra[:, k], error):24.0%} "
        f"{within(image.data, true_images[k], image.uncertainty.array):21.0%}"
    )

# %%
# The pixels are many and each has its own noise, so their share is near 68 %. The bins of a spectrum are wrong
# together: where one is too high its neighbours are, since spectra have a few ways to vary. So in a single observation
# all of a spectrum may lie within its uncertainty, or hardly any. It is over many observations that about two bins of
# three are within (:doc:`/how_it_works` has the figures). The bands are the uncertainty, the lines how far the spectrum
# is from the truth.

figure, axes = plt.subplots(2, 2, figsize=(8, 4.6), layout="constrained")
figure.supxlabel("Energy (keV)", fontsize="medium")
figure.supylabel("Found / true $-$ 1", fontsize="medium")
for k, (axis, name) in enumerate(zip(axes.flat, names)):
    used = true_spectra[:, k] > 0.01 * true_spectra[:, k].max()
    truth, found, error = (
        true_spectra[used, k],
        good.spectra[name].value[used],
        good.spectra[f"{name}_err"].value[used],
    )
    axis.fill_between(energy[used], -error / truth, error / truth, step="mid", color="#0072B2", alpha=0.25, lw=0)
    axis.step(energy[used], found / truth - 1, where="mid", color="k", lw=1)
    axis.axhline(0, color="0.5", lw=0.8)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axis.set_title(name, fontsize="medium")

# %%
# What the uncertainty does not know: an error of the model. It takes the components, their libraries and the response
# to be right, and is small where a separation is precisely wrong. Look at the warnings and the residuals first, at
# the uncertainties then. :ref:`sphx_glr_generated_plot_parameters.py` checks them by drawing the photons again
# (``n_resamplings``), and says how errors of the response are taken along.
#
# Which model?
# ------------
# Where more than one model could describe an observation, let them predict photons.
# `~astro_lpalm.selection.compare_models` holds out three photons of ten, separates the others with each model, and
# compares what it expects with the photons that were held out. Here are the four components of ``snr-acis`` and the
# two of ``pwn-acis``, which has the same energy bins, on the good observation:

from astro_lpalm.selection import compare_models

comparison = compare_models(good.cube, ["snr-acis", "pwn-acis"])
comparison

# %%
# The best model comes first. ``log_likelihood`` is that of the held-out photons, relative to the best model's, and
# ``error`` is the standard deviation of this difference. A difference of less than three errors is none. This one is
# many errors: the two components of ``pwn-acis`` do not describe this remnant. A model with components that are not
# there gains nothing here, since these do not help to predict new photons. The table only ranks the models it is given:
# the best of them can still be wrong, so look at its warnings and residuals too.
