"""Where files are kept that are the program's own: the user's cache directory."""

import os
import sys
from pathlib import Path

__all__ = ["cache_directory"]


def cache_directory():
    """Find the directory for files that may be deleted at any time; it need not exist.

    Returns
    -------
    `pathlib.Path`
        ``astro_lpalm`` in XDG_CACHE_HOME, or else in what the system has for it.
    """
    home = Path.home()
    usual = {"darwin": home / "Library" / "Caches", "win32": home / "AppData" / "Local"}.get(
        sys.platform, home / ".cache"
    )
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "astro_lpalm"
