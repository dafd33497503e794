"""
From an event list to components
================================

A supernova remnant is simulated as an event list, binned, separated with the packaged model, and compared with what
went in. With a real event list, the first section is not needed and the others stay as they are.
"""

# %%
# An event list with known components
# -----------------------------------
# The remnant has four components: filaments of synchrotron emission, a clumpy thermal shell, and iron-rich ejecta that
# recede and approach. Their spectra are drawn from the physical models that the packaged model was trained for, as an
# observation would have any of them, on energy bins far finer than those of the separation.

from pathlib import Path
from tempfile import mkdtemp

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

import astro_lpalm
from astro_lpalm.demo import remnant_images
from astro_lpalm.simulate import simulate_events
from astro_lpalm.spectra import SpectralLibrary

folder = Path(mkdtemp())
center = SkyCoord("23h23m27.8s", "+58d48m54s")
pixel_scale = 2 * u.arcsec

truth = remnant_images(160, seed=4)
counts = {"synchrotron": 6e5, "thermal": 8e5, "iron_red": 8e4, "iron_blue": 6e4}
images = np.array([counts[name] * image for name, image in truth.items()])

fine_edges = np.linspace(0.5, 7.0, 651) * u.keV
spectra = SpectralLibrary.from_file("snr-acis", energy_edges=fine_edges).draw(1, seed=4)[0]

events = simulate_events(images, spectra, fine_edges, center=center, pixel_scale=pixel_scale, seed=4)
events.writeto(folder / "events.fits")

# %%
# Binning
# -------
# Every selected event is counted once. The energy bins have to be those of the model, or such as nest into them.

model = astro_lpalm.load_model("snr-acis")
cube = astro_lpalm.EventCube.from_events(
    folder / "events.fits",
    energy_edges=model.energy_edges,
    pixel_scale=pixel_scale,
    center=center,
    size=320 * u.arcsec,
)
cube

# %%
# Separating
# ----------
# There is nothing to tune. The counts of the components with their errors, and how far each spectrum is from what went
# in:

from astro_lpalm.separation import spectral_angle

result = astro_lpalm.separate(cube, model)

binned = spectra.reshape(65, 10, 4).sum(axis=1)
table = result.diagnostics.copy()
table["true_counts"] = list(counts.values()) * u.count
table["angle"] = np.rad2deg(spectral_angle(result.mixing, binned)) * u.deg
table["angle"].info.format = ".2f"
table

# %%
# Looking
# -------
# ``result.plot()`` draws one figure of a page's width, as high as it needs; here it comes in two parts. First the
# images on the sky, and what is left: the misfit should not have the outline of the source.

import matplotlib.pyplot as plt


def draw(*panels):
    size = result.plot(panels=panels).get_size_inches()
    return result.plot(panels=panels, figure=plt.figure(figsize=size, dpi=150))


figure = draw("images", "composite", "misfit")

# %%
# Then the spectra under the data's: the residuals should have no lines. The bands are errors, which images have as
# well. Below are the physical parameters that were fitted to the counts, each within its range; ``result.parameters``
# is the same as a table (:ref:`sphx_glr_generated_plot_parameters.py`).

figure = draw("spectra", "parameters")

# %%
# The same on the sky: between 1.5 and 2.5 keV the residuals, in units of the noise of the counts that are expected in a
# pixel, are noise wherever there are counts. Neither the rim nor the clumps of the shell can be made out.

band = slice(10, 20)
band_counts = cube.data[band].sum(axis=0)
residual = result.residuals.data[band].sum(axis=0)
residual /= np.sqrt(np.maximum(band_counts - residual, 1))
figure, axes = plt.subplots(figsize=(5.5, 4.5), subplot_kw={"projection": cube.wcs}, layout="constrained")
drawn = axes.imshow(residual, vmin=-3, vmax=3, cmap="RdBu_r", origin="lower")
figure.colorbar(drawn, label="Residual / noise, 1.5 to 2.5 keV")
axes.set(xlabel="Right ascension", ylabel="Declination")
print(f"root mean square where there are counts: {residual[band_counts > 10].std():.2f}")

# %%
# Keeping
# -------
# The file holds everything, errors and parameters included, and opens in DS9 with each component at its place on the
# sky. The spectra also go out as PHA files, for Sherpa or XSPEC.

result.write(folder / "components.fits")
[path.name for path in result.write_pha(folder)]
