"""``astro-lpalm`` in a shell: each subcommand is one function of the package."""

import argparse
import logging
import os
import sys
from pathlib import Path

import astropy.units as u
from astropy.coordinates import SkyCoord

from . import __version__
from ._files import check_files, check_fits_name
from ._shell import in_shell

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
    return in_shell(lambda: _run(_parser().parse_args(arguments)), is_program=arguments is None)


def _run(options):
    # The package's own logger, not the root: other packages keep their own ways, and nothing is said twice.
    log, handler = logging.getLogger(__package__), logging.StreamHandler()
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
        print(f"{start}astro-lpalm {options.command}: {str(interruption) or _what_is_kept(options)}", file=sys.stderr)
        return getattr(interruption, "code", _INTERRUPTED)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    return 0


def _check(options, reads, writes, *, fits=True, renewed=()):
    """Refuse to begin what could not be finished, or would destroy what it is made of."""
    check_files(writes, reads, overwrite=options.overwrite, renewed=renewed)
    options.outputs = {path: _state(path) for path in writes.values() if path is not None}
    for path in options.outputs if fits else ():
        check_fits_name(path)


def _what_is_kept(options):
    outputs = getattr(options, "outputs", {})
    kept = [f"'{path}'" for path, before in outputs.items() if _state(path) != before]
    return f"interrupted; kept: {', '.join(kept)}." if kept else "interrupted, and nothing was kept."


def _state(path):
    """Tell one state of a file from another; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _parser():
    parser = argparse.ArgumentParser(
        prog="astro-lpalm", description="Separate X-ray observations into their physical components."
    )
    parser.add_argument("--version", action="version", version=f"astro_lpalm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (function, add_options) in _COMMANDS.items():
        description = function.__doc__
        command = commands.add_parser(name, help=description, description=description)
        command.set_defaults(function=function)
        add_options(command)
        command.add_argument("--quiet", action="store_true", help="say nothing but warnings and errors")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _quantity(unit):
    # A number with a unit, or a bare number in the unit that the help states.
    def parse(text):
        try:
            value = u.Quantity(text)
            return value * unit if value.unit == u.dimensionless_unscaled else value.to(unit)
        except (TypeError, ValueError, u.UnitConversionError):
            msg = f"'{text}' is not a number of {unit} (such as 1.5 or '1.5 {unit}')"
            raise argparse.ArgumentTypeError(msg) from None

    return parse


def _sky(text):
    # Right ascension in hours, minutes and seconds makes five or six numbers, or colons; degrees make two.
    sexagesimal = ":" in text or len(text.replace(",", " ").split()) > 2
    try:
        return SkyCoord(text.replace(",", " "), unit=(u.hourangle, u.deg) if sexagesimal else u.deg)
    except ValueError:
        msg = f"'{text}' is not a sky position (such as '15:13:55.6 -59:08:09' or '228.48 -59.14')"
        raise argparse.ArgumentTypeError(msg) from None


def _each(text):
    # One number for all, or NAME=NUMBER
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        msg = f"'{text}' is not a number, nor a component's as in 'thermal=2e5'"
        raise argparse.ArgumentTypeError(msg) from None


def _check_device(name):
    """Refuse a device that PyTorch cannot use, which it says in a different way for each reason."""
    import torch

    try:
        torch.zeros(1, device=name).sum().item()
    except (RuntimeError, AssertionError) as error:  # the latter of a device that it was not built for
        devices = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        devices += ["mps"] if torch.backends.mps.is_available() else []
        msg = f"PyTorch cannot compute on the device '{name}' here; the devices are: {', '.join(devices)}."
        raise ValueError(msg) from error


def _add_output(command, what, default=None):
    command.add_argument("-o", "--output", type=Path, default=default, required=default is None, help=what)
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _demo(options):
    """Simulate a remnant's event list, separate it, and compare with the truth."""
    from .demo import FILES, run_demo

    options.outputs = {path: _state(path) for path in (options.output / name for name in FILES)}
    _check_device(options.device)
    summary = run_demo(options.output, seed=options.seed, device=options.device, overwrite=options.overwrite)
    if not options.quiet:
        print("\n".join(summary.pformat(max_lines=-1, max_width=-1)))
        print("seconds:", ", ".join(f"{step} {value:.1f}" for step, value in summary.meta["seconds"].items()))
        print(f"Files are in {options.output}; look at {options.output / 'components.png'} first.")


def _demo_options(command):
    _add_output(command, "directory for the files (default: %(default)s)", Path("astro-lpalm-demo"))
    command.add_argument("--seed", type=int, default=0, help="decides remnant and photons (default: %(default)s)")
    command.add_argument("--device", help="where the network runs, such as cuda (default: cpu)")


def _bin(options):
    """Bin an event list, or several, into a cube of counts."""
    from .cube import EventCube

    others = (*(options.exposure or ()), options.region, options.mask, options.like)
    _check(options, reads=(*options.events, *others), writes={"--output": options.output})
    names = ("energy", "n_energy", "energy_edges", "bin_factor", "pixel_scale", "bounds", "center", "size", "region",
             "mask")  # fmt: skip
    chosen = {name: getattr(options, name) for name in names}
    for name in ("energy", "energy_edges", "size"):
        if chosen[name] is not None:
            chosen[name] = u.Quantity(chosen[name])
    chosen["like"] = None if options.like is None else EventCube.read(options.like)
    events, exposure = options.events, options.exposure
    if len(events) == 1:  # one list that is merged with no other keeps its header
        events, exposure = events[0], None if exposure is None else exposure[0]
    EventCube.from_events(events, exposure=exposure, **chosen).write(options.output, overwrite=options.overwrite)


def _bin_options(command):
    command.add_argument("events", nargs="+", help="event list; several are brought to the first one's sky and merged")
    _add_output(command, "cube file to write")
    kev, arcsec = _quantity(u.keV), _quantity(u.arcsec)
    command.add_argument("--energy", nargs=2, type=kev, metavar=("LOW", "HIGH"), help="range (keV; default: 0.5 7)")
    command.add_argument("--n-energy", type=int, help="number of equal energy bins (default: 65)")
    command.add_argument("--energy-edges", nargs="+", type=kev, help="edges of the energy bins (keV)")
    command.add_argument("--bin-factor", type=float, help="sky pixels to the side of an image pixel (default: 1)")
    command.add_argument("--pixel-scale", type=arcsec, help="side of an image pixel (arcsec)")
    command.add_argument("--bounds", nargs=4, type=float, metavar=("X0", "X1", "Y0", "Y1"),
                         help="range in sky pixels (default: that of the selected events)")  # fmt: skip
    command.add_argument("--center", type=_sky, help="middle of the image, as one argument: 'RA DEC'")
    command.add_argument("--size", nargs="+", type=arcsec, help="side, or width and height, of the image (arcsec)")
    command.add_argument("--region", help="DS9 or CIAO region file; pixels outside it are masked")
    command.add_argument("--mask", help="FITS image, nonzero where pixels are masked, or a region file of what to mask")
    command.add_argument("--exposure", nargs="+", metavar="FILE",
                         help="exposure map, a FITS image on any celestial WCS; one for each event list")  # fmt: skip
    command.add_argument("--like", metavar="CUBE", help="cube file whose pixels and energy bins are taken")


def _simulate(options):
    """Simulate an event list of the components that a TOML file describes."""
    from ._files import write_fits
    from .data import named_files
    from .simulate import simulate_from_file

    reads = [options.components, *named_files(options.components), options.exposure_map]
    reads += [options.psf] if isinstance(options.psf, Path) else []
    _check(options, reads, writes={"--output": options.output, "--truth": options.truth})
    names = ("exposure", "center", "pixel_scale", "psf", "exposure_map", "background", "correlation")
    chosen = {name: getattr(options, name) for name in names}
    chosen["size"] = None if options.size is None else u.Quantity(options.size)
    for name in ("counts", "flux"):
        chosen[name] = _brightness(getattr(options, name))
    events, truth = simulate_from_file(options.components, seed=options.seed, **chosen)
    write_fits(events, options.output, overwrite=options.overwrite)
    if options.truth is not None:
        truth.write(options.truth, overwrite=options.overwrite)
    if not options.quiet:
        print(truth)


def _brightness(given):
    if given is None:
        return None
    return given[0][1] if len(given) == 1 and not given[0][0] else dict(given)


def _length_or_file(text):
    try:
        return _quantity(u.arcsec)(text)
    except argparse.ArgumentTypeError:
        return Path(text)


def _simulate_options(command):
    command.add_argument("components", help="TOML file with the components, or name of a packaged one")
    _add_output(command, "event list to write")
    command.add_argument("--truth", type=Path, help="file for the images and spectra that were simulated")
    arcsec, own = _quantity(u.arcsec), "default: the file's, or"
    command.add_argument("--exposure", type=_quantity(u.ks), help=f"exposure time (ks; {own} 50)")
    command.add_argument("--center", type=_sky, help=f"middle of the images, as one argument: 'RA DEC' ({own} 0 0)")
    command.add_argument("--pixel-scale", type=arcsec, help=f"side of the images' pixels (arcsec; {own} 0.984)")
    command.add_argument("--size", nargs="+", type=arcsec, help=f"side, or width and height (arcsec; {own} 240)")
    command.add_argument("--counts", nargs="+", type=_each, metavar="NAME=NUMBER",
                         help=f"expected counts of each component, or one number, of all ({own} 1e6)")  # fmt: skip
    command.add_argument("--flux", nargs="+", type=_each, metavar="NAME=NUMBER", help="photon / (cm2 s) instead")
    command.add_argument("--psf", type=_length_or_file, help="FWHM (arcsec), or a file with an image, of the point "
                         f"spread function ({own} none)")  # fmt: skip
    command.add_argument("--exposure-map", type=Path, help=f"file with an image of the exposure ({own} flat)")
    command.add_argument("--background", type=float, help=f"count / s of a flat background ({own} none)")
    command.add_argument("--correlation", type=float, help=f"how alike drawn images are, from 0 to 1 ({own} 1)")
    command.add_argument("--seed", type=int, default=0, help="decides spectra, images, photons (default: %(default)s)")


def _train(options):
    """Train a model for the components that a TOML file describes."""
    from .data import named_files
    from .training import TrainingSet, train

    reads = [options.components, *named_files(options.components)]
    writes = {"--output": options.output, "--checkpoint": options.checkpoint}
    _check(options, reads, writes, renewed=["--checkpoint"])  # an old one is there to be gone on from
    _check_device(options.device)
    given = {name: getattr(options, name) for name in ("n_samples", "n_pixels", "snr_db")}
    given = {name: value for name, value in given.items() if value is not None}
    training_set, settings = TrainingSet.from_file(options.components, seed=options.seed, **given)
    given = {name: getattr(options, name) for name in ("n_layers", "epochs", "batch_size", "learning_rate")}
    settings |= {name: value for name, value in given.items() if value is not None}
    model = train(
        training_set, seed=options.seed, checkpoint=options.checkpoint, device=options.device,
        progress=not options.quiet, **settings,
    )  # fmt: skip
    model.name = options.output.name.split(".")[0].encode("ascii", "replace").decode()  # FITS headers have only that
    model.write(options.output, overwrite=options.overwrite)


def _train_options(command):
    command.add_argument("components", help="TOML file with the components, their spectra and sources")
    _add_output(command, "model file to write")
    own = "default: the file's, or"
    command.add_argument("--n-samples", type=int, help=f"number of training examples ({own} 2000)")
    command.add_argument("--n-pixels", type=int, help=f"pixels of an example ({own} 500)")
    command.add_argument("--snr-db", nargs=2, type=float, metavar=("LOW", "HIGH"),
                         help=f"range of signal to noise (dB; {own} 10 40)")  # fmt: skip
    command.add_argument("--n-layers", type=int, help=f"number of layers ({own} 25)")
    command.add_argument("--epochs", type=int, help=f"how often every example is seen ({own} 60)")
    command.add_argument("--batch-size", type=int, help=f"examples to a step ({own} 8)")
    command.add_argument("--learning-rate", type=float, help=f"its peak ({own} 3e-3)")
    command.add_argument("--checkpoint", type=Path, help="file to go on from, written every epoch (default: none)")
    command.add_argument("--seed", type=int, default=0, help="decides examples and order (default: %(default)s)")
    command.add_argument("--device", help="where to train, such as cuda (default: cpu)")


def _separate(options):
    """Separate a cube into component images and spectra."""
    from .data import packaged_files
    from .pipeline import separate

    model = packaged_files(".fits").get(options.model, options.model)
    _check(options, reads=[options.cube, model, options.background], writes={"--output": options.output})
    _check_device(options.device)
    result = separate(
        options.cube, options.model, background=_background(options), transform=options.transform,
        refine=not options.no_refine, n_resamplings=options.resamplings, seed=options.seed, device=options.device,
        progress=not options.quiet,
    )  # fmt: skip
    result.write(options.output, overwrite=options.overwrite)
    if not options.quiet:
        _print_diagnostics(result)


def _background(options):
    if options.background is None:
        if options.background_scale is not None or options.free_background:
            msg = "--background-scale and --free-background need --background, the file that it is in."
            raise ValueError(msg)
        return None
    from .cube import EventCube
    from .pipeline import read_background

    how = {"scale": options.background_scale, "free": options.free_background}
    return read_background(options.background, EventCube.read(options.cube), **how)


def _print_diagnostics(result):
    print("\n".join(result.diagnostics.pformat(max_lines=-1, max_width=-1)))
    meta = result.diagnostics.meta.items()
    print(", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in meta))


def _separate_options(command):
    command.add_argument("cube", help="cube file")
    command.add_argument("model", help="model file, or name of a packaged model")
    _add_output(command, "FITS file to write the components to")
    command.add_argument("--transform", default="starlet", help="starlet, or a wavelet such as db4 or db4-stationary")
    command.add_argument("--background", metavar="FILE", help="cube of a blank field, or PHA file, to take away")
    command.add_argument("--background-scale", type=float, help="factor for it (default: ratio of exposures and areas)")
    command.add_argument("--free-background", action="store_true", help="fit its amplitude")
    command.add_argument("--no-refine", action="store_true", help="keep the network's own answer")
    command.add_argument(
        "--resamplings", type=int, default=0, metavar="N",
        help="draw the photons N times again for the uncertainty of spectra and images (50 is plenty; default: none)",
    )  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="of the resampling (default %(default)s)")
    command.add_argument("--device", help="where the network runs, such as cuda (default: cpu)")


def _plot(options):
    """Draw component images and spectra, or the history of a model's training."""
    from ._files import open_fits

    _check(options, reads=[options.file], writes={"--output": options.output}, fits=False)
    with open_fits(options.file, headers_only=True) as hdulist:
        is_model = hdulist[0].header.get("CONTENT") == "astro_lpalm model"
    if is_model:
        from .model import Model
        from .training import plot_history

        plot_history(Model.read(options.file), options.output, overwrite=options.overwrite)
    else:
        from .results import Separation

        how = {"panels": options.panels, "width": options.width}
        Separation.read(options.file).plot(options.output, overwrite=options.overwrite, **how)


def _plot_options(command):
    command.add_argument("file", help="file that 'separate' or 'train' wrote")
    _add_output(command, "picture to write, such as components.png")
    command.add_argument("--panels", nargs="+", choices=("images", "composite", "misfit", "spectra"),
                         help="what to draw of components (default: all)", metavar="PANEL")  # fmt: skip
    command.add_argument("--width", type=_quantity(u.mm), default=180 * u.mm,
                         help="of the figure (mm; default: 180, a journal's page; a column has 88)")  # fmt: skip


def _spectra(options):
    """Write component spectra as PHA files, for Sherpa or XSPEC."""
    from ._files import complete_or_nothing
    from .results import Separation, pha_files

    if options.arf is not None and options.rmf is None:
        msg = f"--arf {options.arf} needs --rmf, the redistribution matrix that goes with it."
        raise ValueError(msg)
    result = Separation.read(options.file)
    response = None if options.rmf is None else (options.arf, options.rmf)
    spectra = pha_files(result.names, options.output)[: None if response else -2]
    reads = [options.file, options.arf, options.rmf, options.region]
    writes = {"--table": options.table} | {path.name: path for path in spectra}
    _check(options, reads, writes, fits=False)
    paths = result.write_pha(options.output, response=response, region=options.region, overwrite=options.overwrite)
    if options.table is not None:
        everywhere = ~result.cube.pixel_mask
        table = result.region_spectra(everywhere if options.region is None else options.region)
        with complete_or_nothing(options.table, overwrite=options.overwrite) as path:
            table.write(path, format="ascii.ecsv", overwrite=True)
    if not options.quiet:
        print("\n".join(str(path) for path in paths))


def _spectra_options(command):
    command.add_argument("file", help="file that 'separate' wrote")
    _add_output(command, "directory for files called <name>.pha, or the beginning of their names, OUTPUT_<name>.pha")
    command.add_argument("--arf", help="effective area of the observation (with --rmf)")
    command.add_argument("--rmf", help="its redistribution matrix; written with the spectra, in their energy bins")
    command.add_argument("--region", help="DS9 or CIAO region file; spectra of this part of the sky")
    command.add_argument("--table", type=Path, metavar="FILE", help="ECSV file to write a table to as well: data, "
                         "residuals, each component alone (PHA files of a region add the residuals)")  # fmt: skip


def _info(options):
    """Say what is in a cube, a model, or a file of components."""
    from ._files import open_fits
    from .cube import EventCube
    from .model import Model, load_model, packaged_models
    from .results import Separation

    if options.file in packaged_models():
        print(_describe_model(load_model(options.file)))
        return
    with open_fits(options.file, headers_only=True) as hdulist:
        content = hdulist[0].header.get("CONTENT")
        names = {hdu.name for hdu in hdulist}
    if content == "astro_lpalm model":
        print(_describe_model(Model.read(options.file)))
    elif {"SPECTRA", "DIAGNOSTICS"} <= names:
        result = Separation.read(options.file)
        print(result)
        _print_diagnostics(result)
    else:
        print(EventCube.read(options.file))


def _describe_model(model):
    lines = [repr(model), f"fingerprint of the weights: {model.checksum}"]
    lines += [f"{key} = {value}" for key, value in model.description.items()]
    if model.history:
        best = min(model.history, key=lambda row: row["validation_loss"])
        lines.append(
            f"median NMSE on validation examples, without refinement: sources {best['nmse_s']:.2e}, "
            f"spectra {best['nmse_a']:.2e} (epoch {best['epoch']} of {len(model.history)})"
        )
    return "\n".join(lines)


def _info_options(command):
    command.add_argument("file", help="a file, or the name of a packaged model")


_EXPERIMENTS = ("table1", "table2", "table3", "table4", "init", "fig2", "fig8", "fig10", "partial")


def _reproduce(options):
    """Redo the tables and figures of the paper, next to rows of our own."""
    from .reproduce import EXPERIMENTS, Workspace, format_table

    workspace = Workspace(
        options.data, options.output, quick=options.quick, seed=options.seed, n_samples=options.samples,
        progress=not options.quiet,
    )  # fmt: skip
    for name in _EXPERIMENTS if options.experiment == "all" else (options.experiment,):
        try:
            table = EXPERIMENTS[name].run(workspace)
        except KeyboardInterrupt as interruption:
            interruption.args = (f"interrupted; '{options.output}' keeps what is done, and the same command goes on.",)
            raise
        if not options.quiet:
            print(f"{format_table(table)}\nThese are {options.output / name}.ecsv and .png.\n", flush=True)


def _reproduce_options(command):
    command.add_argument("experiment", choices=(*_EXPERIMENTS, "all"), help=f"{', '.join(_EXPERIMENTS)}, or all",
                         metavar="EXPERIMENT")  # fmt: skip
    command.add_argument("--data", type=Path, required=True, help="directory of the authors' spectra and maps: "
                         "spectra.fits and sources.fits, or spectra.npy and real_sources.pkl")  # fmt: skip
    command.add_argument("-o", "--output", type=Path, required=True, help="directory for results and trained models; "
                         "what an earlier run left there is not done again")  # fmt: skip
    command.add_argument("--quick", action="store_true", help="few epochs and samples: minutes, and worse figures")
    command.add_argument("--samples", type=int, help="samples of each row (default: the paper's number, or fewer "
                         "where a sample takes long)")  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="decides data and trainings (default: %(default)s)")


_COMMANDS = {
    "demo": (_demo, _demo_options),
    "bin": (_bin, _bin_options),
    "simulate": (_simulate, _simulate_options),
    "train": (_train, _train_options),
    "separate": (_separate, _separate_options),
    "plot": (_plot, _plot_options),
    "spectra": (_spectra, _spectra_options),
    "info": (_info, _info_options),
    "reproduce": (_reproduce, _reproduce_options),
}
