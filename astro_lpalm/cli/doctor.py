"""``astro-lpalm doctor``."""

from .arguments import check_device

__all__ = ["COMMANDS"]


def _doctor(options):
    """Say what this installation is, and try it on a small simulated sky."""
    from ..doctor import examine

    check_device(options.device)
    report = examine(device=options.device)
    if not options.quiet:
        print("\n".join(report.pformat(max_lines=-1, max_width=-1, show_name=False, align="<")).rstrip())
    bad = [row["what"] for row in report if row["state"] == "bad"]
    if bad:
        msg = f"not as it should be: {', '.join(bad)}. Please report it, with all of the above."
        raise RuntimeError(msg)


def _doctor_options(command):
    command.add_argument("--device", help="where the network runs in the trial, such as cuda (default: cpu)")


COMMANDS = {"doctor": (_doctor, _doctor_options)}
