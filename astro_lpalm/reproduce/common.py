"""Rows and figures that several experiments have in common."""

from ..forward import least_squares
from ..separation import AMCA, GMCA, nmse
from .experiment import Row, errors
from .methods import Blind, Network, Oracle

__all__ = []

REFINED = Row("LPALM, refined", Network(refined=True), kind="ours")
SPARSE = Row("LPALM, refined, sparse", Network(refined=True, sparse=True), kind="ours")
BLIND = (Row("GMCA", Blind(GMCA), kind="ours"), Row("AMCA", Blind(AMCA), kind="ours"))
ORACLE = Row("oracle", Oracle(), kind="oracle")

REALISTIC = Network({"training": "realistic"})
REALISTIC_REFINED = Network({"training": "realistic"}, refined=True)


def realistic_errors(found, sample):
    """Add the NMSE of whole images: least squares with the spectra that were found gives their coarse part."""
    whole = found.sources + least_squares(sample.coarse, found.spectra)
    return errors(found, sample) | {"nmse_image": nmse(whole, sample.images)}
