import re
from pathlib import Path

import pytest

import astro_lpalm


def test_citation_is_that_of_the_file():
    path = Path(__file__).parents[1] / "CITATION.cff"
    if not path.exists():
        pytest.skip("needs a checkout")
    file = path.read_text(encoding="utf-8")
    citation = astro_lpalm.__citation__
    assert len(re.findall("^@", citation, re.MULTILINE)) == 2
    assert citation.count("{") == citation.count("}")
    for name in re.findall("family-names: (.*)", file):
        assert name in citation
    for key in ("version", "license"):
        assert re.search(rf'^{key}: "?(.*?)"?$', file, re.MULTILINE)[1] in citation
    assert re.search('arXiv:(.*?)"', file)[1] in citation
