"""What the PHA files of a region say of it."""

import numpy as np
import pytest
import regions
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astro_lpalm.cube.masking import read_mask

CENTER = SkyCoord(350.85, 58.815, unit="deg")
FILES = {
    "sky": 'fk5\ncircle(23:23:24.0, +58:48:54, 12")\n-box(350.85, 58.815, 4", 4", 30)\n',
    "galactic": f'galactic\nellipse({CENTER.galactic.l.deg}, {CENTER.galactic.b.deg}, 16", 9", 20)\n',
    "image": "image\npolygon(1.2, 1.2, 7.3, 1.3, 7.3, 7.4)\n",
    "physical": "physical\ncircle(4010, 4020, 12)\n",
}


def history(path):
    return list(fits.getheader(path, "SPECTRUM")["HISTORY"])


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_a_region_is_told_in_the_words_of_ds9(told, tmp_path, text):
    region = tmp_path / "src.reg"
    region.write_text(text)
    path = told.write_pha(tmp_path / "src", region=region)[0]
    first, named, *lines = history(path)
    assert (first, named) == ("counts of:", "region 'src.reg', in DS9's words:")
    assert lines[0] == "icrs"
    assert [line.startswith("-") for line in lines[1:]] == ([False, True] if text.startswith("fk5") else [False])
    again = tmp_path / "again.reg"  # what is told is the same part of the sky
    again.write_text("\n".join(lines))
    inside = ~read_mask(region, told.cube, is_mask=False)
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(~read_mask(again, told.cube, is_mask=False), inside)


def test_other_regions_are_told_as_far_as_can_be(told, tmp_path):
    circle = regions.CircleSkyRegion(CENTER, 12 / 3600 * CENTER.ra.unit)
    mask = ~read_mask(circle, told.cube, is_mask=False)
    assert history(told.write_pha(tmp_path / "a", region=mask)[0])[1] == "a mask of pixels, given in Python"
    lines = history(told.write_pha(tmp_path / "b", region=[circle])[0])
    assert lines[1:3] == ["region given in Python, in DS9's words:", "icrs"]
    assert lines[3].startswith("circle(350.85")
    (tmp_path / "both.reg").write_text('fk5\ncircle(350.85,58.815,12")&box(350.85,58.815,20",20",0)\n')
    lines = history(told.write_pha(tmp_path / "c", region=tmp_path / "both.reg")[0])
    assert lines[3] == "(shapes that are intersected or chained: Circle, Rectangle)"


def test_spectra_of_the_field_have_no_region(told, tmp_path):
    assert "HISTORY" not in fits.getheader(told.write_pha(tmp_path)[0], "SPECTRUM")
