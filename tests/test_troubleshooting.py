"""Texts of messages that the documentation explains are those of the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "troubleshooting.rst"
if not PAGE.exists():
    pytest.skip("needs a checkout", allow_module_level=True)
TEXTS = re.findall(r"^``(.*)``$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def said():
    """All texts in the code, with three dots for what is filled in."""
    found = []
    for path in (ROOT / "astro_lpalm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(each.value if isinstance(each, ast.Constant) else "..." for each in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_there_are_some():
    assert len(TEXTS) > 20
    assert len(set(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("text", TEXTS)
def test_message_is_in_the_code(said, text):
    assert text in said


def test_what_is_filled_in_is_no_part_of_a_message(said):
    assert "the cube has 5 negative values" not in said
