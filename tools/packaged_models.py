"""Make the packaged models.

    python tools/packaged_models.py [NAME ...] [--tables]

Trains each on its components file with seed 0, as ``astro-lpalm train NAME --seed 0`` does, and puts it in its place.
With --tables the weights stay as they are, and only the tables of spectra of physical parameters are made anew.
"""

import argparse
import logging

from astro_lpalm import load_model
from astro_lpalm.data import packaged_files
from astro_lpalm.training import TrainingSet, train

log = logging.getLogger(__name__)


def make(name, path, *, only_tables):
    """Make one model and write it."""
    settings = {"n_samples": 2} if only_tables else {}  # the tables hang on the file alone
    training_set, training = TrainingSet.from_file(name, seed=0, **settings)
    if only_tables:
        model = load_model(name)
        model.physics, model.components_file = training_set.physics, training_set.library.text
    else:
        model = train(training_set, seed=0, **training)
        model.name = name
    model.write(path, overwrite=True)
    log.info("%s: %r, weights %s", path.name, model, model.checksum)


def main():
    """Make those that are asked for, by default all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--tables", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    files = packaged_files(".toml")
    for name in options.names or files:
        make(name, files[name].with_suffix(".fits"), only_tables=options.tables)


if __name__ == "__main__":
    main()
