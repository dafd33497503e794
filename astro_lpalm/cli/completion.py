"""``astro-lpalm --print-completion``: what makes a shell complete commands, options and names of files."""

import argparse
from pathlib import Path

__all__ = ["add_completion"]

_SHELLS = "bash", "zsh"
_FILES = ("file", "cube", "events", "components", "arf", "rmf", "psf", "background", "region", "mask", "exposure",
          "like", "ebounds", "model", "data")  # fmt: skip


class _PrintCompletion(argparse.Action):
    """Print the script and leave."""

    def __call__(self, parser, namespace, values, option_string=None):
        try:
            import shtab
        except ImportError:
            parser.error("--print-completion needs shtab: pip install 'astro_lpalm[completion]'.")
        for command in _commands(parser):
            for action in command._actions:
                if action.type is Path or action.dest in _FILES:
                    action.complete = shtab.FILE
        print(shtab.complete(parser, shell=values))
        parser.exit()


def _commands(parser):
    (chosen,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return chosen.choices.values()


def add_completion(parser):
    """Give a parser of subcommands the option --print-completion."""
    parser.add_argument("--print-completion", choices=_SHELLS, action=_PrintCompletion, metavar="SHELL",
                        help="print what makes bash or zsh complete commands and options, and exit")  # fmt: skip
