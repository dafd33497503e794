"""Every public function and class has an example, which runs as a doctest."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
if not REFERENCE.is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
MODULES = [
    module
    for page in sorted(REFERENCE.glob("*.rst"))
    for module in re.findall(r"^\.\. automodapi:: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)
]


def runs(shown):
    """Whether the docstring of an object has a section of examples, and some of it is run."""
    parts = re.split(r"^Examples\n-{8}\n", inspect.cleandoc(shown.__doc__ or ""), flags=re.MULTILINE)
    if len(parts) < 2:
        return False
    return any(not each.options.get(doctest.SKIP) for each in doctest.DocTestParser().get_examples(parts[1]))


def without_example(module):
    """Names of the functions and classes in ``__all__`` that have no such example; data have no docstring."""
    shown = {name: getattr(module, name) for name in module.__all__}
    return [name for name, each in shown.items() if callable(each) and not runs(each)]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_an_example(name):
    assert without_example(importlib.import_module(name)) == []


def test_a_name_without_an_example_is_found():
    class Module:
        __all__ = ("bare", "promised", "shown", "skipped")

        @staticmethod
        def bare():
            """No more than a summary."""

        @staticmethod
        def promised():
            """A section of examples that has none.

            Examples
            --------
            See elsewhere.
            """

        @staticmethod
        def skipped():
            """An example that is not run.

            Examples
            --------
            >>> 1 + 1  # doctest: +SKIP
            3
            """

        @staticmethod
        def shown():
            """An example.

            Examples
            --------
            >>> 1 + 1
            2
            """

    assert without_example(Module) == ["bare", "promised", "skipped"]
