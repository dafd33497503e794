"""The report of a separation: complete, self-contained, and alive in a browser."""

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from matplotlib.image import imread

from astro_lpalm.results import Separation
from astro_lpalm.results.report.panels import residual_panels

from .local import with_maps

SECTIONS = [
    "summary",
    "warnings",
    "images",
    "smooth",
    "maps",
    "spectra",
    "residuals",
    "parameters",
    "fluxes",
    "diagnostics",
    "provenance",
]
EVIL = '<script>alert("x")</script>&<b>'
NAMES = "component", "parameter", "value", "error_low", "error_high", "unit", "low", "high", "at_limit", "undecided"
PARAMETERS = QTable(
    rows=[
        ("all", "nh", 0.6, 0.1, 0.1, "1e22 / cm2", 0.5, 2.0, False, False),
        ("thermal", "kT", 3.0, 0.4, 0.0, "keV", 0.8, 3.0, True, False),
        ("thermal", "flux", 2.5e-10, 1e-12, 2e-12, "erg / (s cm2)", np.nan, np.nan, False, False),
    ],
    names=NAMES,
)


@pytest.fixture
def full(make_separation, mask):
    """A separation with all that a report can show, and texts that are not to be taken for HTML."""
    made = with_maps(make_separation(mask=mask, shape=(8, 11)))
    made.cube.meta["OBJECT"] = EVIL
    header = fits.Header([("MODEL", "snr-acis"), ("MODELSUM", "a1b2"), ("NWARN", 1), ("WARN1", f"mask it: {EVIL}")])
    header["COMMAND"] = f"astro-lpalm separate '{EVIL}.fits' snr-acis"
    header.add_history(f"read {EVIL}")
    given = {"local": made.local, "smooth": made.smooth, "maps": made.maps, "header": header, "parameters": PARAMETERS}
    return Separation(made.cube, made.mixing, made.sources, made.names, **given)


class Page(HTMLParser):
    """What a page has: its sections with their texts, tags, addresses and scripts."""

    def __init__(self, path):
        super().__init__()
        self.sections, self.tags, self.addresses, self.scripts, self.open = {}, [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.addresses += [value for key, value in attrs.items() if key in ("src", "srcset", "href", "data", "action")]
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        if tag == "section":
            self.sections[attrs["id"]] = ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts[-1] += data
        elif "section" in self.open:
            self.sections[list(self.sections)[-1]] += data


@pytest.fixture
def page(full, tmp_path):
    full.report(tmp_path / "report.html")
    return Page(tmp_path / "report.html")


def test_every_section_is_there(page):
    assert list(page.sections) == SECTIONS
    assert page.open == []
    links = {address for address in page.addresses if address.startswith("#")}
    assert links == {f"#{name}" for name in SECTIONS}
    texts = page.sections
    assert "thermal" in texts["summary"]
    assert "8 pixels" in texts["summary"]
    assert "mask it" in texts["warnings"]
    assert "thermal kT" in texts["maps"]
    assert "at limit" in texts["parameters"]
    assert "undecided" not in texts["parameters"].split("Errors are")[1].split("known, help.")[1]
    assert "\N{MULTIPLICATION SIGN} 10-10" in texts["fluxes"]
    assert "reduced_chi_square" in texts["diagnostics"]
    assert "a1b2" in texts["provenance"]
    assert "astro-lpalm separate" in texts["provenance"]


def test_it_needs_nothing_else(page):
    assert all(address.startswith(("#", "data:image/")) for address in page.addresses)
    for text in (*page.scripts[1:], *(attrs.get("style") or "" for _, attrs in page.tags)):
        assert not re.search(r"https?:|[\"'(`]//|@import|url\(|\bfetch\b|XMLHttpRequest|\bimport\b", text)


def test_texts_are_texts(page, tmp_path):
    assert len(page.scripts) == 2  # the values and the program
    assert EVIL in page.sections["warnings"]
    assert EVIL in page.sections["provenance"]
    assert "alert" not in "".join(page.scripts)
    assert EVIL not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_pictures_and_values_are_those_of_the_separation(full, page):
    data = json.loads(page.scripts[0])
    assert data["size"] == [11, 8]
    pictures = [attrs["src"] for tag, attrs in page.tags if tag == "img" and attrs["alt"].endswith(" on the sky")]
    n = len(full.names)
    assert len(pictures) == len(data["panels"]) == 1 + n + n + 2 + 5
    for picture in pictures:
        image = imread(io.BytesIO(base64.b64decode(picture.partition(",")[2])), format="png")
        assert image.shape[:2] == (8, 11)
    image = next(iter(full.images.values())).data
    packed = data["panels"][1]["values"]
    levels = np.frombuffer(base64.b64decode(packed["levels"]), "<u2").reshape(8, 11)
    assert ((levels == 65535) == full.cube.pixel_mask).all()
    low, high = packed["range"]
    error = np.abs(low + (high - low) * levels / 65534 - image)[~full.cube.pixel_mask]
    assert error.max() <= 0.51 * (high - low) / 65534


def test_directions_are_those_of_the_sky(full, page):
    sky = json.loads(page.scripts[0])["sky"]
    directions = np.frombuffer(base64.b64decode(sky["directions"]), "<f8").reshape(sky["n"], sky["n"], 3)
    for row, column, x, y in ((0, 0, -0.5, 7.5), (-1, -1, 10.5, -0.5), (-1, 0, -0.5, -0.5)):
        expected = full.cube.wcs.pixel_to_world(x, y).cartesian.xyz.value
        np.testing.assert_allclose(directions[row, column], expected, atol=1e-12)


def test_large_images_are_shown_in_blocks(make_separation, tmp_path):
    path = tmp_path / "large.html"
    make_separation(n=1, shape=(40, 1100)).report(path)
    page = Page(path)
    data = json.loads(page.scripts[0])
    assert data["block"] == 4
    assert len(base64.b64decode(data["panels"][0]["values"]["levels"])) == 2 * 10 * 275
    picture = next(attrs["src"] for tag, attrs in page.tags if tag == "img" and attrs["alt"].endswith(" on the sky"))
    assert imread(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).shape[:2] == (20, 550)
    assert path.stat().st_size < 3e6


def test_what_is_not_there_is_not_shown(make_separation, tmp_path):
    make_separation(n=1).report(tmp_path / "plain.html")
    texts = Page(tmp_path / "plain.html").sections
    assert list(texts) == [name for name in SECTIONS if name not in ("smooth", "maps", "parameters")]
    assert "does not say whether there were any" in texts["warnings"]
    assert "None: they need" in texts["fluxes"]
    assert "astro_lpalm.separate(cube, 'MODEL')" in texts["provenance"]


def test_no_warnings_are_said_to_be_none(make_separation, tmp_path):
    settings = "Separator(transform='starlet', refine=True, sky=SkyFitter(seed=0), maps=('thermal.kT',), seed=3)"
    header = {"NWARN": 0, "MODEL": "snr-acis", "SEPARATR": settings}
    make_separation(header=header).report(tmp_path / "good.html")
    texts = Page(tmp_path / "good.html").sections
    assert "None: data and components agree" in texts["warnings"]
    call = "astro_lpalm.separate(cube, 'snr-acis', transform='starlet', refine=True, maps=('thermal.kT',), seed=3)"
    assert call in texts["provenance"]


def test_residuals_of_good_data_are_noise_of_one_sigma(make_separation):
    made = make_separation(n=2, shape=(60, 60), scale=300.0)
    images = made.fit.demixing @ made.cube.matrix()
    panels = residual_panels(Separation(made.cube, made.mixing, images, made.names))
    for panel in panels[1:]:
        assert np.std(panel.values) == pytest.approx(1, abs=0.05)
        assert np.mean(panel.values) == pytest.approx(0, abs=0.1)


def test_pages_to_print(full, tmp_path):
    full.report(tmp_path / "one.pdf")
    full.report(tmp_path / "two", format="pdf")
    content = (tmp_path / "one.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert content == (tmp_path / "two").read_bytes()
    assert 3 <= len(re.findall(rb"/Type /Page\b", content)) <= 12
    assert len(content) < 3e6


def test_formats_and_files(full, tmp_path):
    with pytest.raises(ValueError, match="a report is html or pdf, not 'docx'; give such an ending to .*report.docx"):
        full.report(tmp_path / "report.docx")
    full.report(tmp_path / "report.docx", format="html")
    with pytest.raises(FileExistsError, match="exists already"):
        full.report(tmp_path / "report.docx", format="html")
    full.report(tmp_path / "report.docx", format="pdf", overwrite=True)
    assert (tmp_path / "report.docx").read_bytes().startswith(b"%PDF")


@pytest.fixture
def browser(tmp_path):
    """Function that opens a page in Chromium and gives the page that its program leaves, and what its console says."""
    names = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("needs Chromium")

    def open_page(path, width):
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return open_page


# What a reader does: a cursor on a picture, a double click, the cursor over the spectra.
READER = """
<script>addEventListener("load", () => setTimeout(() => {
  const view = document.querySelectorAll(".view")[1], box = view.getBoundingClientRect();
  const at = { clientX: box.left + box.width * 0.5, clientY: box.top + box.height * 0.3, bubbles: true };
  view.dispatchEvent(new PointerEvent("pointermove", at));
  document.body.dataset.read = document.querySelectorAll("figure.sky output")[1].textContent;
  document.body.dataset.map = document.querySelectorAll("figure.sky output")[7].textContent;
  document.body.dataset.ticks = view.parentElement.querySelector("svg").textContent;
  view.dispatchEvent(new MouseEvent("dblclick", at));
  document.body.dataset.zoomed = [...document.querySelectorAll(".view img")].map((img) => img.style.width).join();
  const plot = document.querySelector(".plot").getBoundingClientRect();
  document.querySelector(".plot").dispatchEvent(new PointerEvent("pointermove",
    { clientX: plot.left + plot.width * 0.5, clientY: plot.top + 9, bubbles: true }));
  document.body.dataset.spectrum = document.querySelector(".spectra output").textContent;
  document.body.dataset.overflow = document.documentElement.scrollWidth - innerWidth;
}))</script></body>"""


@pytest.mark.parametrize("width", [400, 1600])
def test_in_a_browser(full, browser, tmp_path, width):
    path = tmp_path / "report.html"
    full.report(path)
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", READER), encoding="utf-8")
    dom, console = browser(path, width)
    assert console == []
    said = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<body[^>]*>", dom)[0]))
    # The cursor is in the middle of the 11 columns and, from above, in the third of 8 rows.
    name = full.names[0]
    value = float(re.match(r"-?[\d.e+]+|no value", said["read"])[0])
    assert value == pytest.approx(full.images[name].data[5, 5], rel=2e-3)
    where = full.cube.wcs.pixel_to_world(5, 8 - 0.3 * 8 - 0.5)
    assert where.ra.to_string("h", precision=0, pad=True)[:6] in said["read"]
    assert re.search(f"[+]{int(where.dec.deg)}°{int(where.dec.deg % 1 * 60):02}\N{PRIME}", said["read"])
    assert "keV" in said["map"]
    assert " ± " in said["map"]
    assert "h" in said["ticks"]
    assert "°" in said["ticks"]
    assert set(said["zoomed"].split(",")) == {"200%"}
    assert re.fullmatch(r"2(\.5)? to \d(\.5)? keV \(counts\): data .*", said["spectrum"])
    assert int(said["overflow"]) <= 0
