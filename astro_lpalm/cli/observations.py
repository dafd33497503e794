"""``astro-lpalm bin`` and ``simulate``: event lists into cubes, and event lists made."""

import argparse
from pathlib import Path

import astropy.units as u

from .arguments import add_output, check_name, each, quantity, sky_position
from .outputs import check_outputs

__all__ = ["COMMANDS"]


def _bin(options):
    """Bin an event list, or several, into a cube of counts."""
    from ..cube import EventCube

    others = (*(options.exposure or ()), options.region, options.mask, options.ebounds)
    others = (*others, *(_file_of(model) for model in (options.like, options.model)))
    check_outputs(options, reads=(*options.events, *others), writes={"--output": options.output})
    names = ("energy", "n_energy", "energy_edges", "bin_factor", "pixel_scale", "bounds", "center", "size", "region",
             "mask", "model", "ebounds", "channel_energy")  # fmt: skip
    chosen = {name: getattr(options, name) for name in names}
    for name in ("energy", "energy_edges", "size", "channel_energy"):
        if chosen[name] is not None:
            chosen[name] = u.Quantity(chosen[name])
    chosen |= _likeness(options)
    events, exposure = options.events, options.exposure
    if len(events) == 1:  # one list that is merged with no other keeps its header
        events, exposure = events[0], None if exposure is None else exposure[0]
    EventCube.from_events(events, exposure=exposure, **chosen).write(options.output, overwrite=options.overwrite)


def _file_of(model):
    from ..data import packaged_files

    return packaged_files(".fits").get(model, model)


def _likeness(options):
    """Take the cube that another shall be like, or the model: that has energies, but no pixels."""
    from .._files import open_fits
    from ..cube import EventCube

    if options.like is None:
        return {}
    check_name(options.like)
    with open_fits(_file_of(options.like), headers_only=True) as hdulist:
        is_model = hdulist[0].header.get("CONTENT") == "astro_lpalm model"
    if not is_model:
        return {"like": EventCube.read(options.like)}
    if options.model is not None:
        msg = f"--like {options.like} is a model, and so is --for {options.model}; give one, or a cube for --like."
        raise ValueError(msg)
    return {"model": options.like}


def _bin_options(command):
    command.add_argument("events", nargs="+", help="event list; several are brought to the first one's sky and merged")
    add_output(command, "cube file to write")
    kev, arcsec = quantity(u.keV), quantity(u.arcsec)
    command.add_argument("--energy", nargs=2, type=kev, metavar=("LOW", "HIGH"), help="range (keV; default: 0.5 7)")
    command.add_argument("--n-energy", type=int, help="number of equal energy bins (default: 65)")
    command.add_argument("--energy-edges", nargs="+", type=kev, help="edges of the energy bins (keV)")
    command.add_argument("--bin-factor", type=float, help="sky pixels to the side of an image pixel (of XMM-Newton and "
                         "eROSITA 80, of ROSAT 15; default: 1)")  # fmt: skip
    command.add_argument("--pixel-scale", type=arcsec, help="side of an image pixel (arcsec)")
    command.add_argument("--bounds", nargs=4, type=float, metavar=("X0", "X1", "Y0", "Y1"),
                         help="range in sky pixels (default: that of the selected events)")  # fmt: skip
    command.add_argument("--center", type=sky_position, help="middle of the image, as one argument: 'RA DEC'")
    command.add_argument("--size", nargs="+", type=arcsec, help="side, or width and height, of the image (arcsec)")
    command.add_argument("--region", help="DS9 or CIAO region file; pixels outside it are masked")
    command.add_argument("--mask", help="FITS image, nonzero where pixels are masked, or a region file of what to mask")
    command.add_argument("--exposure", nargs="+", metavar="FILE",
                         help="exposure map, a FITS image on any celestial WCS; one for each event list")  # fmt: skip
    command.add_argument("--like", metavar="FILE", help="cube file whose pixels and energy bins are taken, or model "
                         "file, whose energy bins")  # fmt: skip
    command.add_argument("--for", dest="model", metavar="MODEL", help="model file, or name of a packaged model, whose "
                         "energy bins are taken")  # fmt: skip
    command.add_argument("--ebounds", metavar="FILE", help="RMF, or PHA file that names one, with the energies of PI "
                         "channels (default: the mission's)")  # fmt: skip
    command.add_argument("--channel-energy", nargs="+", type=kev, metavar="ENERGY", help="width of a PI channel, or "
                         "where channel 0 begins and the width (keV)")  # fmt: skip


def _simulate(options):
    """Simulate an event list of the components that a TOML file describes."""
    from .._files import write_fits
    from ..data import named_files
    from ..simulate import simulate_from_file

    reads = [options.components, *named_files(options.components), options.exposure_map]
    reads += [options.psf] if isinstance(options.psf, Path) else []
    check_outputs(options, reads, writes={"--output": options.output, "--truth": options.truth})
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
        return quantity(u.arcsec)(text)
    except argparse.ArgumentTypeError:
        return Path(text)


def _simulate_options(command):
    command.add_argument("components", help="TOML file with the components, or name of a packaged one")
    add_output(command, "event list to write")
    command.add_argument("--truth", type=Path, help="file for the images and spectra that were simulated")
    arcsec, own = quantity(u.arcsec), "default: the file's, or"
    command.add_argument("--exposure", type=quantity(u.ks), help=f"exposure time (ks; {own} 50)")
    command.add_argument(
        "--center", type=sky_position, help=f"middle of the images, as one argument: 'RA DEC' ({own} 0 0)"
    )
    command.add_argument("--pixel-scale", type=arcsec, help=f"side of the images' pixels (arcsec; {own} 0.984)")
    command.add_argument("--size", nargs="+", type=arcsec, help=f"side, or width and height (arcsec; {own} 240)")
    command.add_argument("--counts", nargs="+", type=each, metavar="NAME=NUMBER",
                         help=f"expected counts of each component, or one number, of all ({own} 1e6)")  # fmt: skip
    command.add_argument("--flux", nargs="+", type=each, metavar="NAME=NUMBER", help="photon / (cm2 s) instead")
    command.add_argument("--psf", type=_length_or_file, help="FWHM (arcsec), or a FITS file with images (of "
                         f"energies), of the point spread function ({own} none)")  # fmt: skip
    command.add_argument("--exposure-map", type=Path, help=f"file with an image of the exposure ({own} flat)")
    command.add_argument("--background", type=float, help=f"count / s of a flat background ({own} none)")
    command.add_argument("--correlation", type=float, help=f"how alike drawn images are, from 0 to 1 ({own} 1)")
    command.add_argument("--seed", type=int, default=0, help="decides spectra, images, photons (default: %(default)s)")


COMMANDS = {"bin": (_bin, _bin_options), "simulate": (_simulate, _simulate_options)}
