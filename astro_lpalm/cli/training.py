"""``astro-lpalm train``."""

from pathlib import Path

from .arguments import add_output, check_device
from .outputs import check_outputs

__all__ = ["COMMANDS"]


def _train(options):
    """Train a model for the components that a TOML file describes."""
    from ..data import named_files
    from ..training import TrainingSet, train

    reads = [options.components, *named_files(options.components)]
    writes = {"--output": options.output, "--checkpoint": options.checkpoint}
    check_outputs(options, reads, writes, renewed=["--checkpoint"])  # an old one is there to be gone on from
    check_device(options.device)
    given = {name: getattr(options, name) for name in ("n_samples", "n_pixels", "snr_db")}
    given = {name: value for name, value in given.items() if value is not None}
    shown = {"progress": not options.quiet}
    training_set, settings = TrainingSet.from_file(options.components, seed=options.seed, **shown, **given)
    given = {name: getattr(options, name) for name in ("n_layers", "epochs", "batch_size", "learning_rate", "patience")}
    settings |= {name: value for name, value in given.items() if value is not None}
    model = train(
        training_set, seed=options.seed, checkpoint=options.checkpoint or not options.no_checkpoint,
        device=options.device, **shown, **settings,
    )  # fmt: skip
    model.name = options.output.name.split(".")[0].encode("ascii", "replace").decode()  # FITS headers have only that
    model.write(options.output, overwrite=options.overwrite)


def _train_options(command):
    command.add_argument("components", help="TOML file with the components, their spectra and sources")
    add_output(command, "model file to write")
    own = "default: the file's, or"
    command.add_argument("--n-samples", type=int, help=f"number of training examples ({own} 2000)")
    command.add_argument("--n-pixels", type=int, help=f"pixels of an example ({own} 500)")
    command.add_argument("--snr-db", nargs=2, type=float, metavar=("LOW", "HIGH"),
                         help=f"range of signal to noise (dB; {own} 10 40)")  # fmt: skip
    command.add_argument("--n-layers", type=int, help=f"number of layers ({own} 25)")
    command.add_argument("--epochs", type=int, help=f"how often every example is seen ({own} 60)")
    command.add_argument("--batch-size", type=int, help=f"examples to a step ({own} 8)")
    command.add_argument("--learning-rate", type=float, help=f"its peak ({own} 3e-3)")
    kept = command.add_mutually_exclusive_group()
    kept.add_argument("--checkpoint", type=Path, help="file to go on from, written every epoch (default: "
                         "one in your cache directory, until the training is done)")  # fmt: skip
    kept.add_argument("--no-checkpoint", action="store_true", help="keep nothing of a training that is interrupted")
    command.add_argument("--patience", type=int, metavar="EPOCHS", help="stop after so many epochs without a better "
                         f"validation loss ({own} see all)")  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="decides examples and order (default: %(default)s)")
    command.add_argument("--device", help="where to train, such as cuda (default: cpu)")


COMMANDS = {"train": (_train, _train_options)}
