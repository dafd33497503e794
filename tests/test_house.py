"""The house keeps its order: who imports whom, how long files are, and what each room is for."""

import ast
import graphlib
import importlib
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "astro_lpalm"
MAP = ROOT.parent / "CONTRIBUTING.md"
FILES = sorted(ROOT.rglob("*.py"))
ROOMS = [
    name.removesuffix("/").removesuffix(".py")
    for name in re.findall(r"^\| `(\w+(?:/|\.py))`", MAP.read_text(encoding="utf-8"), re.MULTILINE)
]
DOORS = "__init__", "__main__"  # they lead to any room

# (file, module imported): why it may import from a private module of another room.
PRIVATE = {}
MOST_LINES, MOST_CODE = 400, 250
# Files that are longer, each to be shrunk.
LONG = set()


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """Give (module, names) of all that a file imports of the package: at its head, in functions, relative or not."""
    package = ["astro_lpalm", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found = [(alias.name.split("."), []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            found = [(base + (node.module.split(".") if node.module else []), [alias.name for alias in node.names])]
        else:
            continue
        for (top, *module), names in found:
            if top == "astro_lpalm":
                yield from [([*module, name], []) for name in names] if not module else [(module, names)]


def room_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def place(room):
    """Where a room is on the map; above all are the files that any may use, below all the doors."""
    return len(ROOMS) if room in DOORS else -1 if room.startswith("_") else ROOMS.index(room)


def across(path):
    """Give (module, names) of what a file imports from other rooms; the version is nobody's."""
    own = room_of(path)
    return [(module, names) for module, names in imports(path) if module and module[0] not in (own, "__version__")]


def test_the_map_shows_every_room_once():
    assert sorted(ROOMS) == sorted({room_of(path) for path in FILES if not room_of(path).startswith("_")})


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_imports_only_rooms_above_it(path):
    own = place(room_of(path))
    assert [".".join(module) for module, _ in across(path) if place(module[0]) > own] == []


def test_modules_do_not_import_each_other_in_circles():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES}
    graph = {}
    for path in FILES:
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        wanted = set()
        for module, names in imports(path):
            module = ".".join(module)
            # What a package is asked for may be a module of it.
            parts = {f"{module}.{name}" for name in names} & modules
            wanted |= parts or ({module} & modules)
        graph[own] = wanted - {own}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(modules)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_private_name_crosses_a_room(path):
    private = set()
    for module, names in across(path):
        parts = [*module[1:], *names]
        if any(part.startswith("_") for part in parts):
            private.add((name_of(path), ".".join(module)))
    assert private <= set(PRIVATE)


def n_code(path):
    """Count the lines that are neither blank nor comments nor docstrings."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    text = path.read_text(encoding="utf-8")
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_code_is_counted_without_what_explains_it(tmp_path):
    path = tmp_path / "module.py"
    said = '"""Doc.\n\nMore.\n"""\n\n'
    path.write_text(said + 'x = 1  # why\n# alone\n\n\ndef f():\n    """Doc."""\n    return (\n        x\n    )\n')
    assert n_code(path) == 5


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_not_too_long(path):
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= MOST_LINES or n_code(path) <= MOST_CODE or name_of(path) in LONG


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=name_of)
def test_a_room_says_what_it_is_for_and_what_it_shows(path):
    tree = parse(path)
    docstring = ast.get_docstring(tree)
    assert docstring
    summary = " ".join(docstring.split("\n\n")[0].split())
    assert summary.endswith(".")
    assert not re.search(r"[.!?] [A-Z]", summary)  # one sentence
    stars = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
    assert stars or shows(tree)
    for node in stars:
        module = path.parent.joinpath(*node.module.split("."))
        assert shows(parse(module.with_suffix(".py") if not module.is_dir() else module / "__init__.py"))


@pytest.mark.parametrize("room", [room for room in ROOMS if (ROOT / room).is_dir()])
def test_what_a_room_shows_is_there_once_and_described(room):
    module = importlib.import_module(f"astro_lpalm.{room}")
    assert len(module.__all__) == len(set(module.__all__))
    shown = [getattr(module, name) for name in module.__all__]
    assert [each for each in shown if callable(each) and not each.__doc__] == []


def shows(tree):
    """Whether a module has ``__all__``."""
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)
