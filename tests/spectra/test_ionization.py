"""Fractions of ions against matrix exponentials, against CHIANTI's rates themselves, and in limits."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from scipy.integrate import quad_vec
from scipy.linalg import expm

from astro_lpalm.data import read_table
from astro_lpalm.spectra import ion_fractions
from astro_lpalm.spectra.ionization import fractions

CHARGE = {"H": 1, "He": 2, "C": 6, "N": 7, "O": 8, "Ne": 10, "Mg": 12, "Si": 14, "S": 16, "Ar": 18, "Ca": 20}
CHARGE |= {"Fe": 26, "Ni": 28}
TABLE = read_table("ionization")
KT = np.array(TABLE.meta["kT"])

# The largest of the fractions by charge (singly ionized at the start, matrix exponentials of the rates of ChiantiPy
# 0.16.1 and CHIANTI 10.1 at these very temperatures).
PUBLISHED = {}


def matrices(element):
    """Matrices of the rates at the table's own temperatures, shape (kT, Z + 1, Z + 1)."""
    rows = TABLE[TABLE["element"] == element]
    ionization = rows["ionization"].value.T * np.exp(-rows["threshold"].value / KT[:, None])
    n = CHARGE[element]
    matrix, charge = np.zeros((KT.size, n + 1, n + 1)), np.arange(n)
    matrix[:, charge + 1, charge], matrix[:, charge, charge + 1] = ionization, rows["recombination"].value.T
    return matrix - np.eye(n + 1) * matrix.sum(axis=1)[:, None]
