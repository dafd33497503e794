"""What a file of each mission means: PI channels as energies, BACKSCAL as an area, and approximate responses.

No other room knows a mission by name: it asks `find`. A mission that is not here is added by a package of one's own,
without a change to this one. Such a package needs one module, ``my_hitomi.py`` for instance::

    import astropy.units as u
    from astro_lpalm.missions import Mission

    SXI = Mission(
        name="Hitomi SXI",
        telescope="HITOMI",  # TELESCOP
        instruments=("SXI",),  # how INSTRUME begins
        first_channel=0,  # of the column PI
        last_channel=4095,
        channel_width=6 * u.eV,
    )

and names it in its ``pyproject.toml``::

    [project]
    name = "my-hitomi"
    version = "1.0"
    dependencies = ["astro_lpalm"]

    [project.entry-points."astro_lpalm.missions"]
    hitomi-sxi = "my_hitomi:SXI"

Once that is installed, lists of Hitomi's SXI are binned as those of Chandra are. Where the channels are not all equally
wide, a class derived from `Mission` says where they begin, in its own ``lower_edges``.
"""

from .approximate import APPROXIMATE, approximate_response
from .chandra import ACIS, HRC
from .channels import ListedChannels, given_channels
from .einstein_probe import EP_FXT
from .erosita import EROSITA
from .ixpe import IXPE
from .mission import Mission
from .nustar import NUSTAR
from .registry import find, known_missions
from .rosat import ROSAT_HRI, ROSAT_PSPC
from .suzaku import SUZAKU_XIS
from .swift import SWIFT_XRT
from .xmm import EPIC_MOS, EPIC_PN
from .xrism import RESOLVE, XTEND

__all__ = [
    "ACIS",
    "APPROXIMATE",
    "EPIC_MOS",
    "EPIC_PN",
    "EP_FXT",
    "EROSITA",
    "HRC",
    "IXPE",
    "NUSTAR",
    "RESOLVE",
    "ROSAT_HRI",
    "ROSAT_PSPC",
    "SUZAKU_XIS",
    "SWIFT_XRT",
    "XTEND",
    "ListedChannels",
    "Mission",
    "approximate_response",
    "find",
    "given_channels",
    "known_missions",
]
