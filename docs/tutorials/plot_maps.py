"""
Maps of temperature and photon index
====================================

A separation takes a component to have one spectrum everywhere. In a supernova remnant it hardly has: gas was shocked
at different times, and electrons lose energy on their way. On this page the temperature of the gas and the photon index
of the synchrotron emission change across the remnant. Without maps that is warned of, and moves the fluxes; with
``maps=True`` it is what comes out. At the end an image is freed of the blur of the telescope.
"""

# %%
# A remnant that differs from place to place
# ------------------------------------------
# The images are those of the demo. The gas is hot in the south-east and cools towards the north-west; the synchrotron
# emission steepens towards the south-west. All other parameters are in the middle of their ranges. The model's own
# spectra, taken in each pixel at its own temperature and index, make the expected counts: 100 a pixel on average.

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.wcs import WCS
from matplotlib.colors import PowerNorm
from scipy.ndimage import gaussian_filter

import astro_lpalm
from astro_lpalm.demo import remnant_images

size = 96
rng = np.random.default_rng(7)
model = astro_lpalm.load_model("snr-acis")
shares = {"synchrotron": 0.36, "thermal": 0.56, "iron_red": 0.04, "iron_blue": 0.04}
shapes = remnant_images(size, seed=7)
images = {name: 100 * size**2 * share * shapes[name] for name, share in shares.items()}

y, x = (np.indices((size, size)) - (size - 1) / 2) / (0.42 * size)  # in radii of the remnant
clouds = gaussian_filter(rng.standard_normal((size, size)), size / 14, mode="wrap")
clouds /= clouds.std()
truth = {
    ("thermal", "kT"): 1.8 + 0.9 * np.tanh((0.2 * clouds - 0.1 - 0.75 * (0.8 * x + 0.6 * y)) / 0.9),  # keV
    ("synchrotron", "photon_index"): 2.5 + 0.05 * clouds + 0.15 * x - 0.25 * y,
}


def expected_counts(values):
    """Sum over the components what each pixel's parameters make of them; energy first."""
    parameters = model.physics.parameters
    theta = np.full((size**2, len(parameters)), 0.5)  # scaled: from 0 to 1 over each parameter's range
    for place, parameter in enumerate(parameters):
        if (parameter.component, parameter.name) in values:
            theta[:, place] = parameter.scaled(values[parameter.component, parameter.name].ravel())
    spectra = model.physics.spectra(theta)  # (pixel, energy, component)
    brightness = np.array([images[name].ravel() for name in model.component_names])
    return np.einsum("tmn,nt->mt", spectra, brightness).reshape(-1, size, size)


wcs = WCS(naxis=2)
wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [350.866, 58.815]
wcs.wcs.crpix, wcs.wcs.cdelt = [size / 2 + 0.5] * 2, [-2 / 3600, 2 / 3600]


def observe(expected):
    """Draw the photons."""
    return astro_lpalm.EventCube(rng.poisson(expected), energy_edges=model.energy_edges, wcs=wcs)


cube = observe(expected_counts(truth))
cube

# %%
# One spectrum for all
# --------------------
# The residuals give it away: a warning names what varies.

import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    plain = astro_lpalm.separate(cube, model)
print(caught[0].message)

# %%
# A spectrum for each pixel
# -------------------------
# With ``maps=True`` those parameters are found that vary, and there is a map of each. Which ones, and how smooth the
# maps are, follows from the counts (:doc:`/maps`).

result = astro_lpalm.separate(cube, model, maps=True, n_samples=12)
for component, found in result.parameter_maps.items():
    print(component, *found)

# %%
# What one spectrum did to the counts of the components, and what maps make of it:

print(f"{'':12} {'true counts':>11}   {'one spectrum':>16}   {'maps':>16}")
for name, row, mapped in zip(result.names, plain.diagnostics, result.diagnostics):
    total = images[name].sum()
    first, second = (
        f"{each['counts'].value / total - 1:+.1%} ± {each['counts_err'].value / total:.1%}" for each in (row, mapped)
    )
    print(f"{name:12} {total:11.0f}   {first:>16}   {second:>16}")

# %%
# The maps
# --------
# One figure has all of it: each component's smooth image, and next to it its maps, under outlines of the image. A map
# fades to grey where it is not known well, and is grey where the data do not decide it. The number in the corner is its
# median error.

shape = result.plot(kind="maps").get_size_inches()  # a figure of a page's width, as high as it needs
figure = result.plot(kind="maps", figure=plt.figure(figsize=shape, dpi=150))

# %%
# Held against the truth
# ----------------------
# In the last column is the difference in units of the stated error. Where the component is faint a map goes on as its
# surroundings do, with larger errors.


def label_sky(axis, left, bottom):
    """Name the coordinates along the outer edges only."""
    for coordinate, name, side, shown in zip(axis.coords, ("R.A.", "Dec."), "bl", (bottom, left)):
        coordinate.set_ticks(number=3)
        coordinate.set_ticks_position(side)
        coordinate.set_ticklabel(size="small", exclude_overlapping=True)
        coordinate.set_ticklabel_visible(shown)
        coordinate.set_axislabel(name if shown else " ", minpad=0.5)


labels = {("thermal", "kT"): ("kT", " (keV)"), ("synchrotron", "photon_index"): ("Photon index", "")}
sky = {"projection": wcs}
figure, axes = plt.subplots(2, 4, figsize=(7.1, 4.6), layout="constrained", subplot_kw=sky)
for row, (key, (label, unit)) in zip(axes, labels.items()):
    true, found, image = truth[key], result.parameter_maps[key[0]][key[1]], images[key[0]]
    values, errors = (np.ma.masked_array(each, found.mask) for each in (found.data, found.uncertainty.array))
    low, high = np.percentile(true[image > 0.02 * image.max()], [1, 99])
    for axis, shown in zip(row, (true, values)):
        drawn = axis.imshow(shown, vmin=low, vmax=high, origin="lower", cmap="viridis")
    figure.colorbar(drawn, ax=row[:2], label=f"{label}{unit}", location="bottom", shrink=0.7, aspect=30)
    drawn = row[2].imshow(errors, vmin=0, origin="lower", cmap="magma_r")
    figure.colorbar(drawn, ax=row[2], label=f"Error{unit}", location="bottom")
    pull = (values - true) / errors
    drawn = row[3].imshow(pull, vmin=-3, vmax=3, origin="lower", cmap="RdBu_r")
    figure.colorbar(drawn, ax=row[3], label="Difference / error", location="bottom")
    for axis in row:
        axis.contour(gaussian_filter(image, 2), [image.mean()], colors="black", linewidths=0.5)
        axis.set_facecolor("0.8")
        label_sky(axis, left=axis is row[0], bottom=axis is axes[1, 0])
    rms, stated = np.sqrt(np.ma.average((values - true) ** 2, weights=image)), np.ma.average(errors, weights=image)
    print(f"{label}{unit}: off by {rms:.3f} where the {key[0]} emission is, stated {stated:.3f}")
for axis, title in zip(axes[0], ("true", "found", "stated error", "difference")):
    axis.set_title(title, fontsize="medium")

# %%
# The error of a mean
# -------------------
# Neighbouring pixels of a map are not independent, so the error of a mean over a region does not follow from those of
# its pixels. ``samples`` are for that: each is one of the skies that are possible, images and maps that belong
# together. What is computed of all of them has its scatter for an error. The common parameters, the level of a map
# among them, are the same in all of them; the error of the level, in ``result.parameters``, is added, and is the larger
# one here.

rows = {(row["component"], row["parameter"]): row for row in result.parameters}
common = rows["thermal", "kT"]
common_error = 0.5 * (common["error_low"] + common["error_high"])
east = x < 0
for name, part in (("east", east), ("west", ~east)):
    brightness, kT = result.samples["thermal"][:, part], result.samples["thermal_kT"][:, part]
    means = (brightness * kT).sum(axis=1) / brightness.sum(axis=1)
    true = np.average(truth["thermal", "kT"][part], weights=images["thermal"][part])
    error = np.hypot(means.std(ddof=1), common_error)
    print(f"kT in the {name}: {means.mean():.3f} ± {error:.3f} keV (scatter {means.std(ddof=1):.3f}); true {true:.3f}")

# %%
# Images for looking, images for measuring
# ----------------------------------------
# ``result.images`` are those of least squares: every sum over a region is right within its error, and a single pixel is
# noisy, and often negative. ``result.smooth_images`` are nowhere negative, and as smooth as the counts say that
# the component is. Both know that the spectra vary; those of ``plain``, on the left, do not, and have gas in the
# synchrotron emission.


def compare(panels, top, wcs):
    """Draw images side by side, with the same colours."""
    sky = {"projection": wcs}
    figure, axes = plt.subplots(1, len(panels), figsize=(7.1, 2.2), layout="constrained", subplot_kw=sky)
    for axis, (title, image) in zip(axes, panels.items()):
        drawn = axis.imshow(image, norm=PowerNorm(0.5, vmin=0, vmax=top, clip=True), origin="lower", cmap="inferno")
        axis.set_title(title, fontsize="medium")
        label_sky(axis, left=axis is axes[0], bottom=axis is axes[0])
    ticks = [each for each in (0, 50, 200, 400, 800) if each < top]
    figure.colorbar(drawn, ax=axes, label="Counts per pixel", aspect=12, shrink=0.85, ticks=ticks)


compare(
    {
        "one spectrum": plain.smooth_images["synchrotron"].data,
        "least squares": result.images["synchrotron"].data,
        "smooth": result.smooth_images["synchrotron"].data,
        "true": images["synchrotron"],
    },
    np.percentile(images["synchrotron"], 99.5),
    wcs,
)

# %%
# Without the blur
# ----------------
# The same remnant, now with one spectrum for each component, seen through a telescope whose point spread function is
# two pixels wide. Given it, ``smooth_images`` are of the sky before the blur, as far as the counts support it.
# ``images`` stay as the telescope saw them. Here is the north-western quarter: the rim is as narrow again as it was.

blur = 4 * u.arcsec
sharp = expected_counts({})
blurred = gaussian_filter(sharp, (0, *[(blur / (2 * u.arcsec)).value / 2.3548] * 2))
seen = observe(blurred)
as_seen = astro_lpalm.separate(seen, model)
deblurred = astro_lpalm.separate(seen, model, instrument=astro_lpalm.Instrument(psf=blur))

quarter = slice(size // 2 - 8, None), slice(size // 2 - 8, None)
stages = {
    "least squares": as_seen.images["synchrotron"].data,
    "smooth": as_seen.smooth_images["synchrotron"].data,
    "smooth, with psf": deblurred.smooth_images["synchrotron"].data,
    "true": images["synchrotron"],
}
top = np.percentile(images["synchrotron"], 99.8)
compare({name: image[quarter] for name, image in stages.items()}, top, wcs[quarter])
for name in ("smooth", "smooth, with psf"):
    error = np.sum((stages[name] - stages["true"]) ** 2) / np.sum(stages["true"] ** 2)
    print(f"{name}: squared error over squared image {error:.3f}")
