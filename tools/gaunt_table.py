"""Make the table of free-free Gaunt factors, averaged over thermal electrons.

    python tools/gaunt_table.py astro_lpalm/data

Needs mpmath, for hypergeometric functions of complex parameters. Takes two minutes.
"""

import argparse
from pathlib import Path

import mpmath as mp
import numpy as np
from astropy.table import Table

from astro_lpalm._files import complete_or_nothing

LOG_GAMMA2 = np.round(np.arange(-4.0, 3.1, 0.2), 1)
LOG_U = np.round(np.arange(-3.0, 3.1, 0.2), 1)
N_NODES = 48
META = {
    "title": "Free-free Gaunt factors, averaged over thermal electrons",
    "method": "Row: log10 of gamma^2 = Z^2 Ry / kT; column j: log10 of u = E / kT is log_u[j]. Exact and "
    "non-relativistic, by Gauss-Laguerre quadrature over the energies of the electron that leaves.",
    "source": "Karzas and Latter (1961, ApJS 6, 167), as Sutherland (1998, MNRAS 300, 321) writes them, eq. 13 to 16",
}


def overlap(order, before, after):
    """Give Sutherland's I_0 or I_1, for an electron of these Z / sqrt(E / Ry) before and after."""
    product, difference = before * after, (before - after) ** 2
    f = mp.hyp2f1(mp.mpc(order + 1, -after), mp.mpc(order + 1, -before), 2 * order + 2, -4 * product / difference)
    g = mp.re(mp.power(abs((before - after) / (before + after)), mp.mpc(0, before + after)) * f)
    gamma = abs(mp.gamma(mp.mpc(order + 1, before)) * mp.gamma(mp.mpc(order + 1, after))) / mp.gamma(2 * order + 2)
    return mp.power(4 * product / difference, order + 1) / 4 * mp.exp(mp.pi * abs(before - after) / 2) * gamma * g


def gaunt(before, after):
    """Free-free Gaunt factor of one transition."""
    first, second = overlap(0, before, after), overlap(1, before, after)
    squares = before**2 + after**2 + 2 * before**2 * after**2
    mixed = 2 * before * after * mp.sqrt((1 + before**2) * (1 + after**2))
    return 2 * mp.sqrt(3) / (mp.pi * before * after) * (squares * first - mixed * second) * first


def averaged(log_gamma2, log_u):
    """Average over a Maxwellian of electrons that can emit a photon of u kT."""
    gamma, u = mp.sqrt(10**log_gamma2), 10**log_u
    nodes, weights = np.polynomial.laguerre.laggauss(N_NODES)
    return sum(w * float(gaunt(gamma / mp.sqrt(x + u), gamma / mp.sqrt(x))) for x, w in zip(nodes, weights))


def main():
    """Write the table into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    values = [[round(averaged(g, u), 4) for u in LOG_U] for g in LOG_GAMMA2]
    table = Table({"log_gamma2": LOG_GAMMA2, "gaunt": values}, meta=META | {"log_u": LOG_U.tolist()})
    with complete_or_nothing(options.folder / "gaunt.ecsv", overwrite=options.overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
