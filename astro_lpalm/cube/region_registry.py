"""Region files for the `regions` package: its format "ciao" is read as regions of cubes are."""

import regions
from regions.core.registry import RegionsRegistry

from .region_files import PhysicalShapes, parse_regions, read_region_file
from .region_shapes import ImageShape

__all__ = ["parse", "read", "register"]


def register():
    """Make ``Regions.read(..., format="ciao")`` and ``Regions.parse`` known to `regions`, once."""
    for method, function in (("read", read), ("parse", parse)):
        if (regions.Regions, method, "ciao") not in RegionsRegistry.registry:
            RegionsRegistry.register(regions.Regions, method, "ciao")(function)


def read(filename, cache=False):
    """Read a region file of DS9 or CIAO, text or FITS table, for `regions.Regions.read`.

    Parameters
    ----------
    filename : str or `os.PathLike`
    cache : bool
        Which `regions` says for files of the network: there are none here.

    Returns
    -------
    shapes : `~regions.Regions`
        Pixel shapes count from 0; ``meta["include"]`` tells what is included.

    Raises
    ------
    ValueError
        If it cannot be read, or has physical shapes whose sizes are angles.
    """
    return _plain(read_region_file(filename))


def parse(data):
    """Read a text of DS9 or CIAO, for `regions.Regions.parse`; see `read`."""
    return _plain(parse_regions(data))


def _plain(shapes):
    if any(isinstance(shape, PhysicalShapes) for shape in shapes):
        msg = "physical shapes whose sizes are angles cannot be regions alone, without a list's pixels; save it in fk5."
        raise ValueError(msg)
    return regions.Regions([shape.shape if isinstance(shape, ImageShape) else shape for shape in shapes])
