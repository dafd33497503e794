"""``astro-lpalm demo``."""

from pathlib import Path

from .arguments import add_output, check_device
from .outputs import file_state

__all__ = ["COMMANDS"]


def _demo(options):
    """Simulate a remnant's event list, separate it, and compare with the truth."""
    from ..demo import FILES, run_demo

    options.outputs = {path: file_state(path) for path in (options.output / name for name in FILES)}
    check_device(options.device)
    summary = run_demo(options.output, seed=options.seed, device=options.device, overwrite=options.overwrite)
    if not options.quiet:
        print("\n".join(summary.pformat(max_lines=-1, max_width=-1)))
        print("seconds:", ", ".join(f"{step} {value:.1f}" for step, value in summary.meta["seconds"].items()))
        print(f"Files are in {options.output}; look at {options.output / 'components.png'} first.")


def _demo_options(command):
    add_output(command, "directory for the files (default: %(default)s)", Path("astro-lpalm-demo"))
    command.add_argument("--seed", type=int, default=0, help="decides remnant and photons (default: %(default)s)")
    command.add_argument("--device", help="where the network runs, such as cuda (default: cpu)")


COMMANDS = {"demo": (_demo, _demo_options)}
