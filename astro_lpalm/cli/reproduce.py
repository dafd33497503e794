"""``astro-lpalm reproduce``."""

from pathlib import Path

__all__ = ["COMMANDS", "NAMES"]

NAMES = ("table1", "table2", "table3", "table4", "init", "fig2", "fig8", "fixed", "fig10", "partial")


def _reproduce(options):
    """Redo the tables and figures of the paper, next to rows of our own."""
    from ..reproduce import EXPERIMENTS, Workspace, format_table

    workspace = Workspace(
        options.data, options.output, quick=options.quick, seed=options.seed, n_samples=options.samples,
        progress=not options.quiet,
    )  # fmt: skip
    for name in NAMES if options.experiment == "all" else (options.experiment,):
        try:
            table = EXPERIMENTS[name].run(workspace)
        except KeyboardInterrupt as interruption:
            interruption.args = (f"interrupted; '{options.output}' keeps what is done, and the same command goes on.",)
            raise
        if not options.quiet:
            print(f"{format_table(table)}\nThese are {options.output / name}.ecsv and .png.\n", flush=True)


def _reproduce_options(command):
    command.add_argument("experiment", choices=(*NAMES, "all"), help=f"{', '.join(NAMES)}, or all",
                         metavar="EXPERIMENT")  # fmt: skip
    command.add_argument("--data", type=Path, required=True, help="directory of the authors' spectra and maps: "
                         "spectra.fits and sources.fits, or spectra.npy and real_sources.pkl")  # fmt: skip
    command.add_argument("-o", "--output", type=Path, required=True, help="directory for results and trained models; "
                         "what an earlier run left there is not done again")  # fmt: skip
    command.add_argument("--quick", action="store_true", help="few epochs and samples: minutes, and worse figures")
    command.add_argument("--samples", type=int, help="samples of each row (default: the paper's number, or fewer "
                         "where a sample takes long)")  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="decides data and trainings (default: %(default)s)")


COMMANDS = {"reproduce": (_reproduce, _reproduce_options)}
