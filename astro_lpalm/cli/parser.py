"""The parser of the command line: every subcommand, and the options that all have."""

import argparse

from .. import __version__
from . import demo, doctor, observations, reproduce, results, separation, training
from .completion import add_completion

__all__ = ["make_parser"]

_COMMANDS = (
    demo.COMMANDS
    | observations.COMMANDS
    | training.COMMANDS
    | separation.COMMANDS
    | results.COMMANDS
    | reproduce.COMMANDS
    | doctor.COMMANDS
)


def make_parser():
    """Make the parser: ``function`` of what it gives is what the subcommand does, called with that."""
    parser = argparse.ArgumentParser(
        prog="astro-lpalm", description="Separate X-ray observations into their physical components."
    )
    parser.add_argument("--version", action="version", version=f"astro_lpalm {__version__}")
    add_completion(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (function, add_options) in _COMMANDS.items():
        description = function.__doc__
        command = commands.add_parser(name, help=description, description=description)
        command.set_defaults(function=function)
        add_options(command)
        command.add_argument("--quiet", action="store_true", help="say nothing but warnings and errors")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser
