"""What a notebook shows of objects and figures."""

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from astro_lpalm import Separator, load_model
from astro_lpalm._notebook import card, sparkline, thumbnail
from astro_lpalm.results import Separation
from astro_lpalm.training import plot_history

from . import toy


class Card(HTMLParser):
    """The texts and pictures of a card."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.pictures, self.tags, self.open = [], [], set(), []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"])
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def content(address):
    return base64.b64decode(address.partition("base64,")[2])


def test_cube():
    cube = toy.cube()
    cube.meta["OBJECT"] = "<script>x</script>"
    html = Card(cube._repr_html_())
    assert html.texts[0] == "EventCube"
    assert f"{cube.matrix().sum():,.0f}" in html.texts
    assert "script" not in html.tags
    image, spectrum = html.pictures
    assert imread(io.BytesIO(content(image))).shape[:2] == cube.data.shape[1:]
    assert content(spectrum).startswith(b"<svg")


def test_model():
    model = load_model("snr-acis")
    html = Card(model._repr_html_())
    assert html.texts[0] == "Model snr-acis"
    assert model.checksum in html.texts
    assert any("thermal kT" in text for text in html.texts)
    assert [content(picture).count(b"<polyline") for picture in html.pictures] == [4, 2]
    assert Card(toy.model()._repr_html_()).texts[0].startswith("Model")


def test_separator():
    html = Card(Separator(n_resamplings=50, transform="db4")._repr_html_())
    rows = dict(zip(html.texts[1::2], html.texts[2::2]))
    assert rows["transform (chosen)"] == "'db4'"
    assert rows["n_resamplings (chosen)"] == "50"
    assert rows["n_scales"] == "4"


@pytest.mark.parametrize("warnings", [None, [], ["is it <b>another</b> object?"]])
def test_separation(warnings):
    cube = toy.cube()
    header = {"MODEL": "snr-acis"}
    if warnings is not None:
        header |= {"NWARN": len(warnings)} | {f"WARN{k + 1}": text for k, text in enumerate(warnings)}
    mixing = np.ones((cube.n_energy, 2)) + np.eye(cube.n_energy)[:, :2]
    sources = np.ones((2, cube.matrix().shape[1]))
    html = Card(Separation(cube, mixing, sources, ["hot", "cold"], header=header)._repr_html_())
    assert len(html.pictures) == 2
    assert {"Separation", "hot", "cold", "snr-acis"} <= set(html.texts)
    assert ("none" in html.texts) == (warnings == [])
    assert ("is it <b>another</b> object?" in html.texts) == bool(warnings)
    assert "1" in html.texts if warnings else "1" not in html.texts


def test_card_escapes_what_it_is_given():
    html = card("<i>", {"<i>": "<i>"}, [("data:,", '"<i>', "<i>")], ["<i>"])
    assert "i" not in Card(html).tags


def test_thumbnail_is_small_upright_and_bright():
    plane = np.zeros((1000, 400))
    plane[900:, :] = 5.0  # north
    plane[:, :10] = np.nan
    picture = imread(io.BytesIO(content(thumbnail(plane))))
    assert max(picture.shape[:2]) <= 264
    assert picture[2, -1, :3].sum() > 2 > picture[-1, -1, :3].sum()
    assert picture[5, 0, :3] == pytest.approx(0.8, abs=0.01)
    assert imread(io.BytesIO(content(thumbnail(np.full((3, 3), np.nan))))).shape[:2] == (3, 3)


def test_sparkline_is_within_its_picture():
    text = content(sparkline([[1.0, 1e-9, 0.0], [0.1, 0.2, 0.3]], ["red", "blue"])).decode()
    points = [tuple(map(float, pair.split(","))) for pair in " ".join(re.findall(r'points="([^"]+)"', text)).split()]
    assert len(points) == 6
    assert all(0 <= x <= 264 and 0 <= y <= 132 for x, y in points)
    assert points[0][1] < points[5][1] < points[1][1]


def test_figures_are_shown_without_pyplot():
    png, size = plot_history(load_model("snr-acis"))._repr_png_()
    assert imread(io.BytesIO(png)).shape[:2] == (2 * size["height"], 2 * size["width"])
    assert size == {"width": 600, "height": 380}


def test_a_script_shows_nothing():
    code = """
import sys
from astro_lpalm import load_model
from astro_lpalm.training import plot_history
plot_history(load_model("snr-acis"))
print("matplotlib.pyplot" in sys.modules, "IPython" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False False\n", "")
