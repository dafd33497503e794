"""``astro-lpalm plot``, ``report``, ``spectra`` and ``info``: what was written, to look at and to go on with."""

import textwrap
import tomllib
from pathlib import Path

import astropy.units as u

from .arguments import add_energy_edges, add_output, check_name, quantity, read_cube
from .outputs import check_outputs

__all__ = ["COMMANDS", "print_diagnostics"]


def _plot(options):
    """Draw component images and spectra, or the history of a model's training."""
    from .._files import open_fits

    check_outputs(options, reads=[options.file], writes={"--output": options.output}, fits=False)
    with open_fits(options.file, headers_only=True) as hdulist:
        is_model = hdulist[0].header.get("CONTENT") == "astro_lpalm model"
    if is_model:
        from ..model import Model
        from ..training import plot_history

        plot_history(Model.read(options.file), options.output, overwrite=options.overwrite)
    else:
        from ..results import Separation

        how = {"kind": options.kind, "panels": options.panels, "width": options.width}
        Separation.read(options.file).plot(options.output, overwrite=options.overwrite, **how)


def _plot_options(command):
    command.add_argument("file", help="file that 'separate' or 'train' wrote")
    add_output(command, "picture to write, such as components.png")
    command.add_argument("--kind", choices=("summary", "maps"), default="summary",
                         help="of components: a summary (default), or smooth images and parameter maps")  # fmt: skip
    command.add_argument("--panels", nargs="+", choices=("images", "composite", "misfit", "spectra", "parameters"),
                         help="what to draw of the summary (default: all)", metavar="PANEL")  # fmt: skip
    command.add_argument("--width", type=quantity(u.mm), default=180 * u.mm,
                         help="of the figure (mm; default: 180, a journal's page; a column has 88)")  # fmt: skip


def _report(options):
    """Write a report of components: one page for a browser that needs nothing else, or a PDF file."""
    from ..results import Separation

    name = options.file.name.removesuffix(".gz").removesuffix(".fits")
    path = options.output or options.file.with_name(f"{name}.{options.format or 'html'}")
    check_outputs(options, reads=[options.file], writes={"--output": path}, fits=False)
    Separation.read(options.file).report(path, format=options.format, overwrite=options.overwrite)
    if not options.quiet:
        print(path)


def _report_options(command):
    command.add_argument("file", type=Path, help="file that 'separate' wrote")
    command.add_argument("-o", "--output", type=Path, help="file to write (default: named after the first, next to it)")
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")
    command.add_argument("--format", choices=("html", "pdf"), help="of the report (default: as its name ends, or html)")


def _spectra(options):
    """Write component spectra as PHA files, for Sherpa or XSPEC."""
    from .._files import complete_or_nothing
    from ..results import Separation, pha_files

    if options.arf is not None and options.rmf is None:
        msg = f"--arf {options.arf} needs --rmf, the redistribution matrix that goes with it."
        raise ValueError(msg)
    result = Separation.read(options.file)
    response = None if options.rmf is None else (options.arf, options.rmf)
    spectra = pha_files(result.names, options.output)[: None if response else -2]
    reads = [options.file, options.arf, options.rmf, options.region]
    writes = {"--table": options.table} | {path.name: path for path in spectra}
    check_outputs(options, reads, writes, fits=False)
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
    add_output(command, "directory for files called <name>.pha, or the beginning of their names, OUTPUT_<name>.pha")
    command.add_argument("--arf", help="effective area of the observation (with --rmf)")
    command.add_argument("--rmf", help="its redistribution matrix; written with the spectra, in their energy bins")
    command.add_argument("--region", help="DS9 or CIAO region file; spectra of this part of the sky")
    command.add_argument("--table", type=Path, metavar="FILE", help="ECSV file to write a table to as well: data, "
                         "residuals, each component alone (PHA files of a region add the residuals)")  # fmt: skip


def _info(options):
    """Say what is in a cube, a model, or a file of components."""
    from .._files import open_fits
    from ..model import Model, load_model, packaged_models
    from ..results import Separation

    if options.file in packaged_models():
        print(_describe_model(load_model(options.file)))
        return
    check_name(options.file)
    with open_fits(options.file, headers_only=True) as hdulist:
        content = hdulist[0].header.get("CONTENT")
        names = {hdu.name for hdu in hdulist}
    if content == "astro_lpalm model":
        print(_describe_model(Model.read(options.file)))
    elif {"SPECTRA", "DIAGNOSTICS"} <= names:
        result = Separation.read(options.file)
        print(result)
        print(describe_edges(result.cube.energy_edges))
        print_diagnostics(result)
    else:
        cube = read_cube(options.file, options.energy_edges)
        print(cube)
        print(describe_edges(cube.energy_edges))


def describe_edges(edges):
    """Write energies with every digit that it takes to write them again."""
    return "\n".join(textwrap.wrap(f"energy edges (keV): {' '.join(map(repr, edges.to_value(u.keV).tolist()))}", 110))


def print_diagnostics(result):
    """Print the diagnostics of a separation, its physical parameters, and what holds for all of it."""
    for table in (result.diagnostics, result.parameters):
        if table is not None:
            print(*table.pformat(max_lines=-1, max_width=-1), sep="\n", end="\n\n")
    meta = result.diagnostics.meta.items()
    print(", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in meta))


def _describe_model(model):
    lines = [repr(model), *_describe_origin(model), f"fingerprint of the weights: {model.checksum}"]
    lines += [f"{key} = {value}" for key, value in model.description.items()]
    lines += [] if model.energy_edges is None else [describe_edges(model.energy_edges)]
    if model.history:
        best = min(model.history, key=lambda row: row["validation_loss"])
        lines.append(
            f"median NMSE on validation examples, without refinement: sources {best['nmse_s']:.2e}, "
            f"spectra {best['nmse_a']:.2e} (epoch {best['epoch']} of {len(model.history)})"
        )
    return "\n".join(lines)


def _describe_origin(model):
    """Say whose spectra a model has, and which parameters they have, with ranges."""
    response = tomllib.loads(model.components_file)["response"] if model.components_file else {}
    if "instrument" in response:
        from ..missions import APPROXIMATE

        epoch = f", epoch {response['epoch']}" if "epoch" in response else ""
        known = APPROXIMATE.get(response["instrument"])
        of = "" if known is None else f" ({known.mission})"
        yield f"instrument: {response['instrument']}{of}, approximate response{epoch}"
    elif response:
        yield f"instrument: that of {', '.join(response.values())}"
    if model.physics is not None:
        from astropy.table import Table

        rows = [
            (each.component or "all", each.name, f"{each.low:g}", f"{each.high:g}", each.unit)
            for each in model.physics.parameters
        ]
        yield from Table(rows=rows, names=("component", "parameter", "low", "high", "unit")).pformat(
            max_lines=-1, max_width=-1, align=("<", "<", ">", ">", "<")
        )


def _info_options(command):
    command.add_argument("file", help="a file, or the name of a packaged model")
    add_energy_edges(command)


COMMANDS = {
    "plot": (_plot, _plot_options),
    "report": (_report, _report_options),
    "spectra": (_spectra, _spectra_options),
    "info": (_info, _info_options),
}
