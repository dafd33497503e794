"""Einstein Probe: the channels of its follow-up telescope."""

import astropy.units as u

from .mission import Mission

__all__ = ["EP_FXT"]

EP_FXT = Mission(
    name="Einstein Probe FXT",
    telescope="EP",
    instruments=("FXT",),
    first_channel=0,
    last_channel=1535,
    channel_width=10 * u.eV,
    sky_pixel=2.0 * u.arcsec,
)
"""Einstein Probe's FXT-A and FXT-B: channels of 10 eV, 0 to 1535 (user guide of FXTDAS, http://epfxt.ihep.ac.cn/analysis,
as quoted by others; not checked against the guide itself: ``ebounds`` takes the energies of an RMF instead).
"""
