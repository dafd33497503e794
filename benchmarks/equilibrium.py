"""Photons of line groups of old plasma, by the tables of single ions, over those of the equilibrium tables.

    python benchmarks/equilibrium.py

`NEI` of 1e14 s / cm3 next to `Thermal`, one element at a time at solar abundance.
"""

from astro_lpalm.spectra import NEI, Thermal, integrate

BANDS = {  # keV
    "O He": (0.54, 0.59),
    "O Ly": (0.63, 0.68),
    "Ne He": (0.88, 0.94),
    "Ne Ly": (1.0, 1.05),
    "Mg He": (1.30, 1.37),
    "Mg Ly": (1.45, 1.5),
    "Si He": (1.78, 1.9),
    "Si Ly": (1.97, 2.03),
    "S He": (2.36, 2.49),
    "S Ly": (2.59, 2.65),
    "Ar He": (3.0, 3.18),
    "Ca He": (3.75, 3.95),
    "Fe XVII": (0.7, 0.88),
    "Fe L": (0.94, 1.3),
    "Fe K": (6.3, 6.8),
}
METALS = "O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Fe"


def photons(model, band, element, **values):
    """Photons of an element's own emission in a band."""
    none = dict.fromkeys([name for name in (*METALS, "C", "N", "Ni") if name in model.param_names], 0.0)
    rich, poor = (model(**none | {element: amount}, **values) for amount in (1.0, 0.0))
    return (integrate(rich, list(band)) - integrate(poor, list(band)))[0].value


def main():
    """Print the ratios."""
    for kT in (0.7, 1.0, 2.0, 4.0):
        ratios = {
            group: photons(NEI, band, group.split()[0], kT=kT, tau=1e14)
            / photons(Thermal, band, group.split()[0], kT=kT)
            for group, band in BANDS.items()
        }
        print(f"{kT:g} keV:", ", ".join(f"{group} {ratio:.2f}" for group, ratio in ratios.items()))


if __name__ == "__main__":
    main()
