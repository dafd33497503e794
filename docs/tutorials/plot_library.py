"""
A library for a new object
==========================

The packaged models know one kind of remnant and one kind of nebula. For another object or another instrument a model is
trained, and what it will know is decided here: which components there are, and what their spectra may look like through
the telescope's effective area (ARF) and energy redistribution (RMF). This page writes a components file, draws spectra
from it, and holds them against an observed spectrum before anything is trained.
"""

# %%
# An ARF, an RMF and an observed spectrum
# ---------------------------------------
# With an observation of your own these three files come from ``specextract`` or the archive, and this section falls
# away. Here an approximate response of ACIS-S is written to files, in ACIS's channels of 14.6 eV, and a remnant is
# observed through it. The remnant's absorption, temperature and abundances are not known to anything below.

from pathlib import Path
from tempfile import mkdtemp

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from matplotlib.colors import PowerNorm
from scipy.optimize import nnls

from astro_lpalm.demo import remnant_images
from astro_lpalm.instrument import Response
from astro_lpalm.missions import approximate_response
from astro_lpalm.simulate import simulate_events
from astro_lpalm.sources import SourceLibrary
from astro_lpalm.spectra import EmissionLine, PhotoelectricAbsorption, SpectralLibrary, Synchrotron, Thermal

folder = Path(mkdtemp())
channels = 0.0146 * np.arange(28, 600) * u.keV
approximate_response(channels).write(folder / "remnant.arf", folder / "remnant.rmf")

gas = PhotoelectricAbsorption(nh=1.2)
models = {
    "synchrotron": gas * Synchrotron(photon_index=2.6),
    "thermal": gas * Thermal(kT=1.6, Mg=0.6, Si=4.0, S=4.5, Ar=4.0, Ca=5.0, Fe=0.4, sigma=1000.0),
    "iron": gas * EmissionLine(energy=6.65, velocity=-1500.0, sigma=1500.0),
}
flux = {"synchrotron": 0.025, "thermal": 0.05, "iron": 0.002}  # photon / (cm2 s)
images = remnant_images(120, seed=2)

# %%
# The simulator takes the models as they are and folds them through the response; images say how many photons arrive
# where, per cm2 and second.

response = Response.read(folder / "remnant.arf", folder / "remnant.rmf")
sky = [flux[name] * images[name if name in images else "iron_blue"] for name in models]
events = simulate_events(
    np.array(sky) * u.photon / u.cm**2 / u.s,
    list(models.values()),
    response=response,
    center=SkyCoord("23h23m27.8s", "+58d48m54s"),
    pixel_scale=2 * u.arcsec,
    exposure=50 * u.ks,
    seed=2,
)
events.writeto(folder / "events.fits")
len(events["EVENTS"].data)

# %%
# The components file
# -------------------
# Each component has a model and ranges for its parameters, as wide as what is not known. The energy bins are whole
# channels of the RMF, seven to a bin; bins that cut a channel in two are refused, since its counts cannot be divided.

(folder / "remnant.toml").write_text("""
[energy]
range = [0.6, 7.0]
channels_per_bin = 7

[response]
arf = "remnant.arf"
rmf = "remnant.rmf"

[absorption]
nh = [0.8, 1.6]

[[components]]
name = "synchrotron"
model = "Synchrotron"
[components.parameters]
photon_index = [2.0, 3.2]
[components.source]
fraction = 0.76
shape = 0.35

[[components]]
name = "thermal"
model = "Thermal"
[components.parameters]
kT = { range = [0.8, 3.0], scale = "log" }
Mg = [0.2, 1.0]
Si = { range = [2.0, 10.0], scale = "log" }
S = { range = [2.0, 10.0], scale = "log" }
Ar = { range = [2.0, 10.0], scale = "log" }
Ca = { range = [2.0, 10.0], scale = "log" }
Fe = [0.2, 1.0]
sigma = [500.0, 2000.0]
[components.source]
fraction = 0.35
shape = 0.5

[[components]]
name = "iron"
model = "EmissionLine"
[components.parameters]
energy = [6.62, 6.70]
velocity = [-6000.0, 3000.0]
sigma = [500.0, 2500.0]
[components.source]
fraction = 0.15
shape = 0.45
""")
library = SpectralLibrary.from_file(folder / "remnant.toml")
library

# %%
# How much of the spread of a component a few principal vectors explain tells how hard its spectra are to know. The
# separation uses ten, and the variance that they leave over.

library.summary(rank=5)

# %%
# The spread next to the observed spectrum
# ----------------------------------------
# A mixture of draws has to be able to reach the observed spectrum: of a thousand draws of all components the one is
# looked for whose best non-negative mixture comes nearest. Where the bands and the data part company, ranges are too
# narrow, or a component is missing.

energy = fits.getdata(folder / "events.fits", "EVENTS")["energy"] / 1e3
edges = library.energy_edges.to_value(u.keV)
observed, _ = np.histogram(energy, edges)
error = np.sqrt(np.maximum(observed, 1))

draws = library.draw(1000, seed=0)
fits_of_draws = [nnls(draw / error[:, None], observed / error) for draw in draws]
best = int(np.argmin([norm for _, norm in fits_of_draws]))
weights, norm = fits_of_draws[best]

centers, colors = 0.5 * (edges[1:] + edges[:-1]), ("#0072B2", "#D55E00", "#009E73")
fig, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(7, 5.5), height_ratios=(3, 1), layout="constrained")
for k, (name, color) in enumerate(zip(library.component_names, colors)):
    band = np.quantile(weights[k] * draws[..., k], [0.05, 0.95], axis=0)
    upper.fill_between(centers, *np.maximum(band, 1), color=color, alpha=0.25, lw=0, step="mid")
    upper.step(centers, np.maximum(weights[k] * draws[best][:, k], 1), color=color, where="mid", label=name)
upper.step(centers, draws[best] @ weights, color="0.5", where="mid", label="their sum")
upper.errorbar(centers, observed, error, fmt=".k", ms=3, lw=0.8, label="observed")
upper.set(yscale="log", ylabel="Counts per bin", ylim=(30, None))
upper.legend(frameon=False, ncols=2)
lower.plot(centers, (observed - draws[best] @ weights) / observed, ".k", ms=3)
lower.axhline(0, color="0.5", lw=0.8)
lower.set(xlabel="Energy (keV)", ylabel="Residual / data", ylim=(-0.4, 0.4))
fig.align_ylabels()

# %%
# The bands hold 90 % of the draws. The best of a thousand follows the data over three decades, to some 10 %; what is
# left beyond are lines, whose abundances no draw had right all at once. The separation does better, with a prior of the
# whole library in place of a list of draws.
#
# Sources that look like the sky
# ------------------------------
# Training also needs sources. ``fraction`` and ``shape`` describe the details of each component's image; maps of a
# similar object can be named instead (``image = "map.fits"``), and then their structure, and how much their bright
# places coincide, is copied too.

maps = SourceLibrary.from_file(folder / "remnant.toml").draw_images(1, (200, 200), seed=3)[0]
fig, axes = plt.subplots(1, 3, figsize=(7, 2.4), layout="constrained")
for axis, image, name in zip(axes, maps, library.component_names):
    drawn = axis.imshow(image / image.max(), norm=PowerNorm(0.5, 0, 1), origin="lower", cmap="inferno")
    axis.set(title=name, xticks=[], yticks=[])
fig.colorbar(drawn, ax=axes, label="Relative brightness", ticks=[0, 0.1, 0.5, 1], format="{x:g}")

# %%
# From here a shell does the rest, in a few minutes::
#
#     astro-lpalm train remnant.toml -o remnant-model.fits
#     astro-lpalm simulate remnant.toml -o test.fits --truth truth.fits --counts 1000000
#
# The cube to separate must be made with the model's energy bins: ``EventCube.from_events(..., energy_edges=
# load_model("remnant-model.fits").energy_edges)``.
