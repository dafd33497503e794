"""``astro-lpalm separate``."""

from .arguments import add_energy_edges, add_output, check_device, read_cube
from .outputs import check_outputs
from .results import print_diagnostics

__all__ = ["COMMANDS"]


def _separate(options):
    """Separate a cube into component images and spectra."""
    from ..data import packaged_files
    from ..pipeline import separate

    model = packaged_files(".fits").get(options.model, options.model)
    check_outputs(
        options,
        reads=[options.cube, model, options.background, options.arf, options.rmf, options.psf, options.exposure],
        writes={"--output": options.output},
    )
    check_device(options.device)
    cube = options.cube if options.energy_edges is None else read_cube(options.cube, options.energy_edges)
    result = separate(
        cube, options.model, instrument=_instrument(options), background=_background(options),
        transform=options.transform, refine=not options.no_refine, smooth=not options.no_smooth,
        maps=options.map or options.maps, n_samples=options.samples, n_resamplings=options.resamplings,
        seed=options.seed, device=options.device, progress=not options.quiet,
    )  # fmt: skip
    result.header["COMMAND"] = options.command_line.encode("ascii", "backslashreplace").decode()  # FITS has only that
    result.write(options.output, overwrite=options.overwrite)
    if not options.quiet:
        print_diagnostics(result)


def _instrument(options):
    if options.arf is not None and options.rmf is None:
        msg = f"--arf {options.arf} needs --rmf, the redistribution matrix that goes with it."
        raise ValueError(msg)
    from ..instrument import Instrument

    response = None if options.rmf is None else options.rmf if options.arf is None else (options.arf, options.rmf)
    return Instrument(
        response=response, psf=options.psf, exposure=options.exposure,
        gain_error=options.gain_error, area_error=options.area_error,
    )  # fmt: skip


def _background(options):
    if options.background is None:
        if options.background_scale is not None or options.free_background:
            msg = "--background-scale and --free-background need --background, the file that it is in."
            raise ValueError(msg)
        return None
    from ..inputs import read_background

    how = {"scale": options.background_scale, "free": options.free_background}
    return read_background(options.background, read_cube(options.cube, options.energy_edges), **how)


def _separate_options(command):
    command.add_argument("cube", help="cube file")
    command.add_argument("model", help="model file, or name of a packaged model")
    add_output(command, "FITS file to write the components to")
    add_energy_edges(command)
    command.add_argument("--transform", default="starlet", help="starlet, or a wavelet such as db4 or db4-stationary")
    command.add_argument("--arf", help="effective area of the observation (with --rmf), in place of the model's")
    command.add_argument("--rmf", help="its redistribution matrix")
    command.add_argument("--gain-error", type=float, default=0.0,
                         help="relative error of energies, to be fitted (of Chandra 0.003; default: none)")  # fmt: skip
    command.add_argument("--area-error", type=float, default=0.0,
                         help="the same of the effective area (of Chandra 0.03)")  # fmt: skip
    command.add_argument("--background", metavar="FILE", help="cube of a blank field, or PHA file, to take away")
    command.add_argument("--background-scale", type=float, help="factor for it (default: ratio of exposures and areas)")
    command.add_argument("--free-background", action="store_true", help="fit its amplitude")
    command.add_argument("--psf", help="FITS image of the point spread function, or stack, to free smooth images of")
    command.add_argument("--exposure", metavar="FILE",
                         help="exposure map, in place of the cube's, or stack of such over energy")  # fmt: skip
    command.add_argument("--no-smooth", action="store_true", help="make no smooth images, which take most of the time")
    command.add_argument(
        "--maps", action="store_true", help="make maps of the parameters that vary from place to place"
    )
    command.add_argument("--map", action="append", default=[], metavar="NAME",
                         help="make a map of this one, such as thermal.kT; may be given several times")  # fmt: skip
    command.add_argument(
        "--samples", type=int, default=0, metavar="N", help="draws of smooth images and maps to keep (default: none)"
    )
    command.add_argument("--no-refine", action="store_true", help="keep the network's own answer")
    command.add_argument(
        "--resamplings", type=int, default=0, metavar="N",
        help="draw the photons N times again for the uncertainty of spectra and images (50 is plenty; default: none)",
    )  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="of the resampling (default %(default)s)")
    command.add_argument("--device", help="where the network runs, such as cuda (default: cpu)")


COMMANDS = {"separate": (_separate, _separate_options)}
