"""The picture of the first page: what ``astro-lpalm demo`` simulates, and what it finds."""

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, PowerNorm

from astro_lpalm import Separation
from astro_lpalm.demo import run_demo

with TemporaryDirectory() as folder:
    run_demo(folder)
    result = Separation.read(Path(folder) / "components.fits")

COLORS = ("#3aa5ff", "#ff8a2a", "#1fd6a0", "#f08cc4")
NAMES = dict(zip(result.names, ("synchrotron", "hot gas", "iron, receding", "iron, approaching")))
plt.style.use("dark_background")
plt.rcParams.update({"font.size": 13, "axes.titlesize": 18})
figure = plt.figure(figsize=(9, 6.3), layout="constrained", facecolor="black")
figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
grid = figure.add_gridspec(2, 3)


def sky(place, image, title, color):
    """Draw an image from black to a colour and on to white."""
    axes = figure.add_subplot(place)
    shades = LinearSegmentedColormap.from_list(title, ["black", color, "white"])
    axes.imshow(image, origin="lower", cmap=shades, norm=PowerNorm(0.6, 0, np.nanpercentile(image, 99.7), clip=True))
    axes.set_title(title, color=color)
    axes.axis("off")


sky(grid[0, 0], result.cube.data.sum(axis=0), "all photons", "0.8")
spectra = figure.add_subplot(grid[1, 2], box_aspect=0.86)
edges = result.cube.energy_edges.value
spectra.stairs(result.cube.data.sum(axis=(1, 2)), edges, baseline=None, color="0.8", lw=2.5)
for number, (name, title) in enumerate(NAMES.items()):
    sky(grid[divmod(number + 1, 3)], result.smooth_images[name].data, title, COLORS[number])
    spectra.stairs(result.spectra[name].value, edges, baseline=None, color=COLORS[number], lw=1.8)
spectra.set(yscale="log", ylim=(60, 1e6), xlim=edges[[0, -1]], xlabel="energy (keV)")
spectra.set_title("spectra (counts)")
