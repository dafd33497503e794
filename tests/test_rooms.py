import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import astro_lpalm

MAP = Path(__file__).parents[1] / "CONTRIBUTING.md"
PACKAGE = Path(astro_lpalm.__file__).parent


def rooms_on_the_map():
    return [name.removesuffix(".py") for name in re.findall(r"^\| `(\w+(?:/|\.py))`", MAP.read_text(), re.MULTILINE)]


ROOMS = [name.removesuffix("/") for name in rooms_on_the_map()]
PACKAGES = [info.name for info in pkgutil.iter_modules(astro_lpalm.__path__) if info.ispkg]


def imported_rooms(file):
    """The rooms that a file imports anything from, at its top or within a function."""
    above = len(file.relative_to(PACKAGE).parts)  # so many dots lead to the package itself
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == above:
            yield from [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]


def test_the_map_shows_every_room_once():
    rooms = [info.name for info in pkgutil.iter_modules(astro_lpalm.__path__) if not info.name.startswith("_")]
    assert sorted(ROOMS) == sorted(rooms)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_down_the_map_never_up(room):
    path = PACKAGE / room
    files = path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    imported = {(file.name, other) for file in files for other in imported_rooms(file) if not other.startswith("_")}
    allowed = ROOMS[: ROOMS.index(room) + 1]
    assert [f"{name} imports {other}" for name, other in sorted(imported) if other not in allowed] == []


def test_files_above_all_rooms_import_none():
    files = [file for file in PACKAGE.glob("_*.py") if not file.name.startswith("__")]
    assert files
    assert [file.name for file in files for other in imported_rooms(file) if not other.startswith("_")] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_say_what_they_are_for_and_what_they_hold(package):
    room = importlib.import_module(f"astro_lpalm.{package}")
    assert room.__doc__.split("\n\n")[0].strip().endswith(".")
    assert len(room.__all__) == len(set(room.__all__))
    undescribed = [name for name in room.__all__ if callable(getattr(room, name)) and not getattr(room, name).__doc__]
    assert undescribed == []
