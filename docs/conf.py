"""Settings of the documentation.

The build needs no network: links into the documentation of other packages are made on Read the Docs and where
ASTRO_LPALM_DOCS_ONLINE is set. Elsewhere a name of another package must at least exist, see `check_other_packages`.
"""

import os
from functools import reduce
from importlib import import_module
from importlib.metadata import metadata

from sphinx_astropy.conf.v2 import *

project = "astro_lpalm"
author = "The astro_lpalm developers"
copyright = f"2026, {author}"
release = metadata(project)["Version"]
version = ".".join(release.split(".")[:2])

extensions += ["sphinx_design", "sphinx_gallery.gen_gallery"]
exclude_patterns += ["tutorials/GALLERY_HEADER.rst", "conftest.py"]
nitpicky = True
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(gammapy|ndcube)\..*",
    ),  # what only the extra "bridges" installs, which the documentation is built without
    ("py:class", r"astro_lpalm\.cube\.io\.CubeIO"),  # a part of EventCube, whose page shows what is in it
    ("py:class", r"astro_lpalm\.results\.io\.SeparationIO"),  # the same of Separation
    ("py:class", r"astro_lpalm\.spectra\.(plasma\.Plasma|absorption\.InterstellarAbsorption)"),  # of their models
]
automodapi_inheritance_diagram = False  # needs Graphviz, and there is little inheritance to show
# The theme is that of conf.v2: pydata-sphinx-theme, which has no navigation of its own.
html_theme_options = {
    "logo": {"text": project, "alt_text": f"{project}: to the first page"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "collapse_navigation": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "icon_links": [
        {"name": name, "url": url, "icon": "fa-solid fa-code-branch"}
        for name, url in (each.split(", ", 1) for each in metadata(project).get_all("Project-URL", []))
    ],
    "navbar_persistent": ["search-button"],
    "footer_end": [],
}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_sidebars = {"index": []}  # its cards are the navigation
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = html_favicon = "_static/logo.svg"
html_title = f"{project} {release}"
html_show_sourcelink = False
toc_object_entries_show_parents = "hide"
html_last_updated_fmt = None
htmlhelp_basename = project
numpydoc_show_class_members = False
autodoc_typehints = "none"  # docstrings say types and shapes; what ArrayLike stands for fills lines
plot_formats = [("png", 200)]
plot_html_show_formats = plot_html_show_source_link = False

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "generated",
    "filename_pattern": r"/plot_",
    "image_scrapers": ("matplotlib",),
    "image_srcset": ["2x"],  # for screens of a high resolution
    "ignore_repr_types": r"matplotlib\.",  # of what a last line returns where the picture is meant
    "matplotlib_animations": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "download_all_examples": False,
}

if os.environ.get("READTHEDOCS") == "True" or os.environ.get("ASTRO_LPALM_DOCS_ONLINE"):
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "astropy": ("https://docs.astropy.org/en/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "regions": ("https://astropy-regions.readthedocs.io/en/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }
else:
    intersphinx_mapping = {}


def check_other_packages(app, env, node, contnode):
    """Accept a reference to another package if what it names can be imported, so that misspelt ones are still found."""
    if node.get("refdomain") != "py" or node["reftarget"].split(".")[0] == project:
        return None
    # In the docstring of a class a name may also be what the class inherits from another package.
    scope = [node.get("py:module"), node.get("py:class")]
    targets = [node["reftarget"]]
    if all(scope):
        targets.append(".".join([*scope, node["reftarget"]]))
    return contnode if any(map(can_be_imported, targets)) else None


def can_be_imported(target):
    parts = target.split(".")
    for n_module in range(len(parts), -1, -1):
        # The longest part that is a module; none at all is a builtin such as `None` or `ValueError`.
        try:
            reduce(getattr, parts[n_module:], import_module(".".join(parts[:n_module]) or "builtins"))
        except (ImportError, AttributeError):
            continue
        return True
    return False


def source_of(app, module, name):
    """Leave out the source of what a room shows of another: its page is for one name of each module only."""
    owner = getattr(getattr(import_module(module), name, None), "__module__", module)
    return module if owner.split(".")[:2] != module.split(".")[:2] else None


def setup(app):
    app.connect("viewcode-follow-imported", source_of)
    # After intersphinx, which makes a link where it can.
    app.connect("missing-reference", check_other_packages, priority=900)
