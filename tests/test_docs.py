"""Pages of the documentation know what there is, and the check of its links finds those that lead nowhere."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from astro_lpalm.data import packaged_files
from astro_lpalm.trust import remedies

DOCS = Path(__file__).parents[1] / "docs"
if not DOCS.exists():
    pytest.skip("needs a checkout", allow_module_level=True)


def read(name):
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", packaged_files(".fits"))
def test_each_packaged_model_has_a_page_and_a_row(name):
    assert (DOCS / "models" / f"{name}.rst").exists()
    row = re.search(rf"\* - :doc:`{name} <.*?(?=\n    \* - |\n\n)", read("which_model.rst"), re.DOTALL)[0]
    low, high = tomllib.loads(packaged_files(".toml")[name].read_text(encoding="utf-8"))["energy"]["range"]
    assert f"{low:g} to {high:g} keV" in row


@pytest.mark.parametrize("path", sorted((DOCS / "components").glob("*.toml")), ids=lambda path: path.stem)
def test_each_components_file_to_start_from_is_offered(path):
    assert f"<components/{path.name}>`" in read("which_model.rst")


def test_each_cause_of_a_misfit_is_an_assumption_that_failed():
    causes = {*remedies._DESCRIBE, "split"}
    assert causes == set(re.findall(r"\(``(\w+)``\)", read("assumptions.rst")))
    assert causes <= set(re.findall(r"^      - ``(\w+)``$", read("warnings.rst"), re.MULTILINE))


@pytest.fixture(scope="module")
def broken_links():
    spec = importlib.util.spec_from_file_location("check_links", DOCS / "check_links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda root: [link for _, link in module.broken_links(root)]


def test_links_that_lead_nowhere_are_found(broken_links, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "picture one.png").touch()
    (tmp_path / "sub" / "other.html").write_text('<a href="../index.html#here">1</a> <a href="../index.html#no">2</a>')
    (tmp_path / "index.html").write_text(
        '<p id="here"><a href="sub/other.html">1</a> <a href="#">2</a> <a href="#here">3</a> <a href="gone.html">4</a> '
        '<a href="https://a.org/#x">5</a> <img src="picture%20one.png?v=1" srcset="picture%20one.png, two.png 2x">'
    )
    assert sorted(broken_links(tmp_path)) == ["../index.html#no", "gone.html", "two.png"]


def test_a_site_without_pages_is_broken(broken_links, tmp_path):
    assert broken_links(tmp_path) == ["no page at all"]
