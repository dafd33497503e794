"""`main`: a subcommand run, and what a shell is told of how that went."""

import logging
import os
import shlex
import sys

from .._shell import in_shell
from .outputs import what_is_kept
from .parser import make_parser

__all__ = ["main"]

# What bad input and a full disk or memory raise; torch says RuntimeError of the latter. Anything else is a fault of the
# program, and shows its traceback.
_FAILURES = (OSError, ValueError, MemoryError, RuntimeError)
_INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        0 done, 1 could not be done, 130 interrupted (143 by SIGTERM), 141 if what reads the output is there no longer.
        Wrong usage exits with 2.
    """
    if arguments is None:  # the process is ours: torch asks for large pages of memory, which large images gain by
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    given = sys.argv[1:] if arguments is None else arguments
    return in_shell(lambda: _run(_parsed(given)), is_program=arguments is None)


def _parsed(given):
    options = make_parser().parse_args(given)
    options.command_line = shlex.join(["astro-lpalm", *given])
    return options


def _run(options):
    # The package's own logger, not the root: other packages keep their own ways, and nothing is said twice.
    log, handler = logging.getLogger("astro_lpalm"), logging.StreamHandler()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.WARNING if options.quiet else logging.INFO)
    try:
        options.function(options)
    except BrokenPipeError:
        raise  # nobody reads on: no failure
    except _FAILURES as error:
        if options.debug:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        message = message.replace("EventCube.from_events", "astro-lpalm bin")  # what it is called here
        print(f"astro-lpalm {options.command}: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interruption:
        terminal = getattr(sys.stderr, "terminal", None)
        start = "\n" if terminal is not None and terminal.isatty() else ""  # below a line of progress
        print(f"{start}astro-lpalm {options.command}: {str(interruption) or what_is_kept(options)}", file=sys.stderr)
        return getattr(interruption, "code", _INTERRUPTED)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    return 0
