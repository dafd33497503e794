"""Energy bins and sky pixels: their edges and coordinates, one check of each, and images brought to them."""

from .channels import check_energy_edges
from .energies import as_energy_edges, describe_grid, ebounds_hdu, read_ebounds
from .sky import SkyGrid, celestial_wcs, sky_of_image

__all__ = [
    "SkyGrid",
    "as_energy_edges",
    "celestial_wcs",
    "check_energy_edges",
    "describe_grid",
    "ebounds_hdu",
    "read_ebounds",
    "sky_of_image",
]
