"""The command line, ``astro-lpalm`` in a shell: each subcommand is one function of the package."""

from .program import main

__all__ = ["main"]
