"""
From a Chandra event list to component spectra in Sherpa
========================================================

A remnant is observed by Chandra with all that an observation brings with it: an effective area and an energy
redistribution, an exposure map with a gap between chips, a particle background, and a point source that does not
belong to the remnant. This page goes from the event list to the spectrum of one component, with its errors and its
response, and fits a photon index to it.
"""

# %%
# An observation
# --------------
# With an observation of your own this section is not needed: the event list comes from the archive, the exposure map
# from ``fluximage``, ARF and RMF from ``specextract``, and the blank field from ``blanksky``. Here they are made, in
# the same layout. The synchrotron emission has a photon index of 2.5, which is what we want to find again.

from pathlib import Path
from tempfile import mkdtemp

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits

import astro_lpalm
from astro_lpalm.demo import remnant_images
from astro_lpalm.instrument import PHA, Response
from astro_lpalm.missions import approximate_response
from astro_lpalm.simulate import Observation, ParticleBackground
from astro_lpalm.spectra import EmissionLine, PhotoelectricAbsorption, Synchrotron, Thermal, integrate

folder = Path(mkdtemp())
channels = 0.0146 * np.arange(28, 600) * u.keV
approximate_response(channels).write(folder / "remnant.arf", folder / "remnant.rmf")
response = Response.read(folder / "remnant.arf", folder / "remnant.rmf")

gas = PhotoelectricAbsorption(nh=1.2)
models = {
    "synchrotron": gas * Synchrotron(photon_index=2.5),
    "thermal": gas * Thermal(kT=1.6, Mg=0.6, Si=4.0, S=4.5, Ar=4.0, Ca=5.0, Fe=0.4, sigma=1000.0),
    "iron_red": gas * EmissionLine(energy=6.65, velocity=3500.0, sigma=1500.0),
    "iron_blue": gas * EmissionLine(energy=6.65, velocity=-3500.0, sigma=1500.0),
    "point_source": gas * Synchrotron(photon_index=1.5),
}
flux = dict(zip(models, (0.03, 0.05, 0.002, 0.0015, 0.001)))  # photon / (cm2 s)

size = 80
images = remnant_images(size, seed=5)
images["point_source"] = np.zeros((size, size))
images["point_source"][46, 33] = 1.0
sky = np.array([flux[name] * images[name] for name in models]) * u.photon / u.cm**2 / u.s

y, x = np.indices((size, size)) - (size - 1) / 2
vignetting = 1 - 0.3 * ((x - 10) ** 2 + (y - 7) ** 2) / size**2
vignetting[:, 56:58] = 0  # the gap between two chips
particles = ParticleBackground(1.0, spectrum=np.ones(len(channels) - 1))

center = SkyCoord("23h23m27.8s", "+58d48m54s")
layout = {
    "response": response,
    "center": center,
    "pixel_scale": 3 * u.arcsec,
    "psf": 1.5 * u.arcsec,
    "exposure_map": vignetting,
    "background": particles,
}
observation = Observation(sky, list(models.values()), exposure=50 * u.ks, **layout)
observation.draw(seed=5).writeto(folder / "acis_evt2.fits")
blank = Observation(0 * sky[:1], [models["synchrotron"]], exposure=200 * u.ks, **layout)
blank.draw(seed=6).writeto(folder / "blank_evt2.fits")
header = observation.wcs.to_header()
header["BUNIT"] = "s"
fits.writeto(folder / "expmap.fits", 50e3 * vignetting, header)

# %%
# Counts over energy and sky
# --------------------------
# A region file says what to keep of the sky and what to leave out: here a circle around the remnant, without the point
# source. Pixels in the gap have no exposure, and are masked as well.

source = observation.wcs.pixel_to_world(33, 46)
(folder / "remnant.reg").write_text(f"""icrs
circle({center.ra.deg:.5f}, {center.dec.deg:.5f}, 112")
-circle({source.ra.deg:.5f}, {source.dec.deg:.5f}, 7")
""")
model = astro_lpalm.load_model("snr-acis")
cube = astro_lpalm.EventCube.from_events(
    folder / "acis_evt2.fits",
    energy_edges=model.energy_edges,
    pixel_scale=3 * u.arcsec,
    region=folder / "remnant.reg",
    exposure=folder / "expmap.fits",
)
background = astro_lpalm.EventCube.from_events(folder / "blank_evt2.fits", like=cube)
cube

# %%
# Separating
# ----------
# The blank field is scaled by the ratio of the exposure times and taken away, and the spectra of the components are
# those that the observation's response makes of them. Spectra and images have errors, and so have the physical
# parameters that were fitted on the way (:ref:`sphx_glr_generated_plot_parameters.py` is about these).

instrument = astro_lpalm.Instrument(response=response)
result = astro_lpalm.separate(cube, model, instrument=instrument, background=background)
result.diagnostics

# %%
# No warning: nothing speaks against this separation (:ref:`sphx_glr_generated_plot_trust.py` shows what would). The
# grey line in the images is the gap, the grey spot the point source.

size = result.plot().get_size_inches()  # a figure of a page's width, as high as it needs
figure = result.plot(figure=plt.figure(figsize=size, dpi=150))

# %%
# The spectrum of a part
# ----------------------
# ``region_spectra`` tells what a part of the sky has of each component. It takes a region file or shapes; here it is
# the rim. Its synchrotron emission, which in the whole remnant is a third of the counts, is most of it.

from regions import CircleAnnulusSkyRegion

table = result.region_spectra(CircleAnnulusSkyRegion(center, 93 * u.arcsec, 105 * u.arcsec))
for name in result.names:
    print(f"{name:12} {table[name].sum().value / table['data'].sum().value:6.1%} of the data")
table = table["energy_lo", "energy_hi", "data", "synchrotron", "synchrotron_err", "residual"]
for column in table.itercols():
    column.info.format = ".1f"
table[5::10]

# %%
# To Sherpa
# ---------
# Given the response of the observation, ``write_pha`` writes it on the energy bins of the cube next to the spectra,
# which name it. The spectra are net: the other components and the background are taken away. In a shell, ``astro-lpalm
# spectra components.fits --arf remnant.arf --rmf remnant.rmf -o .`` does the same.

paths = result.write_pha(folder, response=(folder / "remnant.arf", folder / "remnant.rmf"))
sorted(path.name for path in folder.iterdir())

# %%
# In Sherpa the fit is then, with the errors from the file, since the counts are estimates and not photons counted::
#
#     from sherpa.astro import ui
#
#     ui.load_pha("synchrotron.pha", use_errors=True)
#     ui.notice(0.7, 7.0)
#     ui.set_source(ui.xsphabs.gas * ui.powlaw1d.law)
#     ui.set_stat("chi2")
#     ui.fit()
#     ui.conf()
#
# Sherpa is not needed for these pages, so here `astropy.modeling` does the same with the files just written: it folds
# an absorbed power law through the response, and compares.

from astropy.modeling import custom_model
from astropy.modeling.fitting import TRFLSQFitter

spectrum = PHA.read(folder / "synchrotron.pha")
written = Response.read(folder / "response.arf", folder / "response.rmf")
error = fits.getdata(folder / "synchrotron.pha", "SPECTRUM")["STAT_ERR"]


@custom_model
def folded(energy, nh=1.0, photon_index=2.0, norm=0.01):
    law = PhotoelectricAbsorption(nh=nh) * Synchrotron(amplitude=norm, photon_index=photon_index)
    return (written.fold(integrate(law, written.energy_edges)) * spectrum.exposure).value


edges = written.channel_edges.to_value(u.keV)
energy = 0.5 * (edges[1:] + edges[:-1])
fitter = TRFLSQFitter(calc_uncertainties=True)
fit = fitter(folded(), energy, spectrum.counts.value, weights=1 / error)
pull = (spectrum.counts.value - fit(energy)) / error

for name, value, std in zip(fit.param_names, fit.parameters, fit.stds.stds):
    print(f"{name:12} {value:8.4f} +- {std:.4f}")
print(
    f"the index is {abs(fit.photon_index - 2.5) / fit.stds['photon_index']:.1f} standard deviations from the true 2.5"
)

# %%
# Chi square is far below the number of bins: in the file, errors of bins count as independent, which those of a
# spectrum that a model holds together are not, and are set large enough that the errors of fitted shapes come out right
# (`~astro_lpalm.results.Separation.write_pha` says how). For the error of a flux take the covariance of the spectrum,
# as :ref:`sphx_glr_generated_plot_parameters.py` does. So chi square tells nothing of the quality of the fit; the
# residuals of the separation do. The effective area is that of the optical axis, without the gap. So the fitted
# normalization is too low: it must still be divided by the fraction of the photons that vignetting, the gap and the
# part left out leave (:doc:`/observations` says how to find that of vignetting).

# sphinx_gallery_thumbnail_number = 2
figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(7, 5), height_ratios=(3, 1), layout="constrained")
upper.errorbar(energy, spectrum.counts.value, error, fmt=".k", ms=3, lw=0.8, label="synchrotron, as separated")
upper.stairs(
    fit(energy), edges, baseline=None, color="#0072B2", label=f"absorbed power law, index {fit.photon_index.value:.2f}"
)
upper.set(yscale="log", ylabel="Counts per bin")
upper.legend(frameon=False)
lower.plot(energy, pull, ".k", ms=3)
lower.axhline(0, color="0.5", lw=0.8)
lower.set(xlabel="Energy (keV)", ylabel="Residual / error", ylim=(-3, 3))
figure.align_ylabels()
