"""Settings of the documentation.

The build needs no network: links into the documentation of other packages are made on Read the Docs and where
ASTRO_LPALM_DOCS_ONLINE is set. Elsewhere a name of another package must at least exist, see `check_other_packages`.
"""

import os
from importlib import import_module
from importlib.metadata import version as installed_version

from sphinx_astropy.conf.v3 import *

project = "astro_lpalm"
author = "The astro_lpalm developers"
copyright = f"2026, {author}"
release = installed_version(project)
version = ".".join(release.split(".")[:2])

extensions.append("sphinx_gallery.gen_gallery")
exclude_patterns += ["tutorials/GALLERY_HEADER.rst", "conftest.py"]
nitpicky = True
automodapi_inheritance_diagram = False  # needs Graphviz, and there is little inheritance to show
html_title = f"{project} {release}"
html_last_updated_fmt = None
htmlhelp_basename = project
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "tutorials/generated",
    "filename_pattern": r"/plot_",
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "show_memory": False,
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
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or target.split(".")[0] == project:
        return None
    parts = target.split(".")
    for n_module in range(len(parts), -1, -1):
        # The longest part that is a module; none at all is a builtin such as `None` or `ValueError`.
        try:
            found = import_module(".".join(parts[:n_module]) or "builtins")
            for name in parts[n_module:]:
                found = getattr(found, name)
        except (ImportError, AttributeError):
            continue
        return contnode
    return None


def setup(app):
    # After intersphinx, which makes a link where it can.
    app.connect("missing-reference", check_other_packages, priority=900)
