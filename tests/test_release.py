"""What goes with a release agrees with the package: recipe, Zenodo's and GitHub's files, the paper, sources of data."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / "pyproject.toml").exists():
    pytest.skip("needs a checkout", allow_module_level=True)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA = {"matplotlib": "matplotlib-base", "torch": "pytorch"}


def test_recipe_needs_what_the_package_needs():
    text = (ROOT / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    run = re.search(r"  run:\n((?:    - .*\n)+)", text)[1]
    found = dict(line.strip("- ").split(" ") for line in run.splitlines())
    expected = {"python": PROJECT["requires-python"]}
    for each in PROJECT["dependencies"]:
        name, version = re.fullmatch(r"(\w+)(>=.*)", each).groups()
        expected[CONDA.get(name, name.lower())] = version
    assert found == expected
    for name, function in PROJECT["scripts"].items():
        assert f"- {name} = {function}" in text
    assert PROJECT["description"] in text
    assert f"license: {PROJECT['license']}" in text


def test_versions_and_titles_agree():
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f'title: "{zenodo["title"]}"' in cff
    assert zenodo["license"] == PROJECT["license"]
    version = re.search(r'^version: "(.*)"', cff, re.MULTILINE)[1]
    recipe = (ROOT / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    assert re.search(r'set version = "(\d+\.\d+)', recipe)[1] == version
    assert (ROOT / "CHANGES.rst").read_text(encoding="utf-8").startswith(version)


def test_paper_cites_what_is_in_its_bibliography():
    text = (ROOT / "paper" / "paper.md").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{(\w+),", (ROOT / "paper" / "paper.bib").read_text(encoding="utf-8"), re.MULTILINE)
    cited = set(re.findall(r"@(\w+)", text.partition("# Summary")[2]))
    assert cited == set(entries)
    assert 250 <= len(text.split()) <= 1000
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (ROOT / "paper" / picture).exists()


def test_figures_of_the_paper_are_those_of_the_documentation():
    text = (ROOT / "paper" / "paper.md").read_text(encoding="utf-8")
    docs = (ROOT / "docs" / "reproducing.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (PALM|LPALM|LPALM, refined|GMCA|oracle) \| (\S+) \| (\S+) \|$", text, re.MULTILINE)
    assert len(rows) == 5
    for name, paper, ours in rows:
        assert re.search(rf"^{name} +{re.escape(paper)} +{re.escape(ours)} ", docs, re.MULTILINE), name
    warnings = (ROOT / "docs" / "warnings.rst").read_text(encoding="utf-8")
    assert "174 of 200" in warnings
    assert "199 of 200" in warnings


def test_every_packaged_file_has_its_source_and_terms():
    page = (ROOT / "docs" / "packaged_data.rst").read_text(encoding="utf-8")
    files = {
        path.name for path in (ROOT / "astro_lpalm" / "data").iterdir() if path.suffix in (".fits", ".toml", ".ecsv")
    }
    assert set(re.findall(r"``([\w-]+\.(?:fits|toml|ecsv))``", page)) == files
