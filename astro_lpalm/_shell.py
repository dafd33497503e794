"""What a shell expects of a program: exit codes of signals, silence of closed pipes, text that is no more than text."""

import os
import signal
import sys
import threading
import traceback
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress

__all__ = ["Terminated", "in_shell", "printable"]

_CLOSED_PIPE = 128 + 13  # what a shell says of a program that SIGPIPE ended


class Terminated(KeyboardInterrupt):
    """The program was asked to end by another signal than Ctrl-C's, whose number is ``code`` - 128."""

    code = 128


def in_shell(function, *, is_program=False):
    """Call a function as the main one of a program.

    While it runs, `printable` text alone reaches standard output and error, and SIGTERM and SIGHUP raise `Terminated`,
    so that temporary files are removed.

    Parameters
    ----------
    function : callable
        It takes nothing and returns an exit code.
    is_program : bool
        Whether nothing is above it that an error could be raised to.

    Returns
    -------
    int
        That code, or 141 if what reads the output is there no longer, or 1 if it cannot be written or, of a program,
        anything is raised, whose traceback is shown.
    """
    with _plain_streams(), _signals():
        try:
            try:
                return function()
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # here, where an error can be caught
        except BrokenPipeError:
            _drop_unwritten()
            return _CLOSED_PIPE
        except _OutputError as error:
            _drop_unwritten()
            sys.stderr.write(f"astro-lpalm: {error}\n")
            return 1
        except Exception:  # any at all, as the interpreter does, which would write its text as it is
            if not is_program:
                raise
            traceback.print_exc()
            return 1


def printable(text):
    r"""Write control characters of a text, all but line feeds and tabs, as in a Python string.

    Names of files and headers may hold any, and a terminal obeys them.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> from astro_lpalm._shell import printable
    >>> print(printable("cube\x1b[2J.fits"))
    cube\x1b[2J.fits
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode() for each in text
    )


class _OutputError(OSError):
    """Standard output or error cannot be written."""


class _PlainStream:
    """A stream on which text is `printable`, and in the stream's own encoding."""

    def __init__(self, terminal):
        self.terminal = terminal  # for what draws on it, such as a line of progress

    def write(self, text):
        encoding = getattr(self.terminal, "encoding", None) or "utf-8"
        with self._telling_which():
            self.terminal.write(printable(text).encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self):
        with self._telling_which():
            self.terminal.flush()

    @contextmanager
    def _telling_which(self):
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            name = getattr(self.terminal, "name", "the output")
            msg = f"cannot write to {name} ({error.strerror}); free some space, or send it elsewhere."
            raise _OutputError(msg) from error

    def isatty(self):
        return False  # colours are control characters too

    def __getattr__(self, name):
        return getattr(self.terminal, name)


@contextmanager
def _plain_streams():
    with ExitStack() as stack:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is not None:
                stack.enter_context(redirect(_PlainStream(stream)))
        yield


def _drop_unwritten():
    """Empty the buffer of a standard output that takes no more, or the interpreter complains when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError):  # a stream without a file, in a test or a notebook
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


@contextmanager
def _signals():
    def stop(number, frame):
        error = Terminated()
        error.code = 128 + number
        raise error

    before = {}
    if threading.current_thread() is threading.main_thread():  # Python hears signals in no other
        numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        # nohup has a signal ignored, which it then stays
        before = {
            number: signal.signal(number, stop) for number in numbers if signal.getsignal(number) == signal.SIG_DFL
        }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
