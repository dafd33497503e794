"""Values and options that several subcommands take: quantities, sky positions, a device, an output."""

import argparse
from pathlib import Path

import astropy.units as u
from astropy.coordinates import SkyCoord

__all__ = [
    "add_energy_edges",
    "add_output",
    "check_device",
    "check_name",
    "each",
    "quantity",
    "read_cube",
    "sky_position",
]


def quantity(unit):
    """Make what reads a number with a unit, or a bare number in the unit that the help states."""

    def parse(text):
        try:
            value = u.Quantity(text)
            return value * unit if value.unit == u.dimensionless_unscaled else value.to(unit)
        except (TypeError, ValueError, u.UnitConversionError):
            msg = f"'{text}' is not a number of {unit} (such as 1.5 or '1.5 {unit}')"
            raise argparse.ArgumentTypeError(msg) from None

    return parse


def sky_position(text):
    """Read a right ascension and a declination."""
    # Right ascension in hours, minutes and seconds makes five or six numbers, or colons; degrees make two.
    sexagesimal = ":" in text or len(text.replace(",", " ").split()) > 2
    try:
        return SkyCoord(text.replace(",", " "), unit=(u.hourangle, u.deg) if sexagesimal else u.deg)
    except ValueError:
        msg = f"'{text}' is not a sky position (such as '15:13:55.6 -59:08:09' or '228.48 -59.14')"
        raise argparse.ArgumentTypeError(msg) from None


def each(text):
    """Read NUMBER, which is for all components, or NAME=NUMBER: the name and the number."""
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        msg = f"'{text}' is not a number, nor a component's as in 'thermal=2e5'"
        raise argparse.ArgumentTypeError(msg) from None


def check_device(name):
    """Refuse a device that PyTorch cannot use, which it says in a different way for each reason."""
    import torch

    try:
        torch.zeros(1, device=name).sum().item()
    except (RuntimeError, AssertionError) as error:  # the latter of a device that it was not built for
        devices = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        devices += ["mps"] if torch.backends.mps.is_available() else []
        msg = f"PyTorch cannot compute on the device '{name}' here; the devices are: {', '.join(devices)}."
        raise ValueError(msg) from error


def check_name(name):
    """Refuse what looks like the name of a packaged model, rather than a file, and is none."""
    from ..data import find_model_file

    if not Path(name).suffix and "+" not in str(name):
        find_model_file(name)


def add_output(command, what, default=None):
    """Give a subcommand the options --output and --overwrite."""
    command.add_argument("-o", "--output", type=Path, default=default, required=default is None, help=what)
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")


def add_energy_edges(command):
    """Give a subcommand that reads a cube the option --energy-edges."""
    command.add_argument("--energy-edges", nargs="+", type=quantity(u.keV), metavar="EDGE",
                         help="edges of the cube's energy bins (keV), where its file has none, or others")  # fmt: skip


def read_cube(path, energy_edges):
    """Read the cube of a subcommand, with the energies that were given, if any."""
    from ..cube import EventCube

    return EventCube.read(path, energy_edges=None if energy_edges is None else u.Quantity(energy_edges))
