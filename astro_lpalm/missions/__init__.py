"""What a file of each mission means: PI channels as energies, BACKSCAL as an area, and approximate responses.

No other room knows a mission by name: it asks `find`. A mission that is not here is added by a package of one's own,
without a change to this one. Such a package needs one module, ``my_swift.py`` for instance::

    import astropy.units as u
    from astro_lpalm.missions import Mission

    XRT = Mission(
        name="Swift XRT",
        telescope="SWIFT",  # TELESCOP
        instruments=("XRT",),  # how INSTRUME begins
        first_channel=0,  # of the column PI
        last_channel=1023,
        channel_width=10 * u.eV,
    )

and names it in its ``pyproject.toml``::

    [project]
    name = "my-swift"
    version = "1.0"
    dependencies = ["astro_lpalm"]

    [project.entry-points."astro_lpalm.missions"]
    swift-xrt = "my_swift:XRT"

Once that is installed, lists of Swift's XRT are binned as those of Chandra are. Where the channels are not all equally
wide, a class derived from `Mission` says where they begin, in its own ``lower_edges``.
"""

from .chandra import ACIS, approximate_acis_response
from .mission import Mission
from .registry import find, known_missions

__all__ = ["ACIS", "Mission", "approximate_acis_response", "find", "known_missions"]
