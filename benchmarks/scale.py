"""Time and memory of large fields, from event list to written components, stage by stage.

    python benchmarks/scale.py [--sides 346 692 1384] [--smooth] [--tile] [--joint SIDE] [--kinds KIND [KIND ...]]
                               [--blank] [--photons N] [--resample] [--workers N] [--larger SIDE [SIDE ...]]
                               [--training NAME [NAME ...]] [--json PATH]

Squares are a remnant of 65 energies, with 55 photons a pixel on average; --tile is one of eROSITA's sky, 3240 x 3240
pixels and 70,000 photons; --joint SIDE are observations of so few photons together, one for each of --kinds: cubes
that are kept as "photons" (two of them by default), laid out ("array"), or stay in a "file". With --blank the first has
as many photons of a background besides, and a cube of the same kind of a blank field with ten times as many. --photons
N puts so many into 2061 x 2061 pixels; --resample times 50 resamplings of 346 x 346 pixels. --larger separates squares,
drawn plane by plane, from FITS files which they stay in: the process may allocate no more than one such cube beyond
what it has before it opens the file, and fails if it asks for more.
--training compares what training sets of packaged models take with a training, of which it does one epoch.

Every line runs in a process of its own, on one thread, after a small separation, which imports and tabulates what all
need. Seconds are of the processor, so that other programs do not count; memory is the highest resident size of that
process, and above what it has before it reads the list. "exponent" is the slope of the logarithm of the time of
`separate` against that of the number of pixels, from one size to the next.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from importlib import import_module
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from bin_events import ROW
from remnants import SHARES, cube_of, remnant_sources

PHOTONS = 3.2e6 / 240**2  # a pixel, as the demo has them
SCALE = 4.0  # arcsec
PART = 10_000_000  # photons drawn at once: the list of a large field is larger than memory
STAGES = {
    "details": "separator.separator.Separator.details",
    "start": "separator.search.Search.start",  # with the details
    "parameters": "separator.search.Search.parameters",
    "images": "separator.separator._by_least_squares",
    "smooth": "separator.search.Search.sky",
    "errors": "separator.separator.Separator.errors",
    "diagnostics": "pipeline.diagnose",
    "causes": "trust.diagnostics.find_causes",  # part of the diagnostics
    "result": "pipeline.Separation",
}
N_FIELDS = 4
SETS = "snr-acis", "snr-nei-acis"
KINDS = "photons", "array", "file"


@contextmanager
def stage_times(clock):
    """Time the stages of separations: a dict of seconds, which cost next to nothing, unlike a profile."""
    spent, before = dict.fromkeys(STAGES, 0.0), []

    def timed(call, stage):
        @wraps(call)
        def inner(*arguments, **options):
            start = clock()
            try:
                return call(*arguments, **options)
            finally:
                spent[stage] += clock() - start

        return inner

    for stage, place in STAGES.items():
        parts = place.split(".")
        n_modules = next(n for n, part in enumerate(parts) if part[0].isupper() or n == len(parts) - 1)
        owner = import_module(".".join(["astro_lpalm", *parts[:n_modules]]))
        for part in parts[n_modules:-1]:
            owner = getattr(owner, part)
        before.append((owner, parts[-1], getattr(owner, parts[-1])))
        setattr(owner, parts[-1], timed(before[-1][-1], stage))
    try:
        yield spent
    finally:
        for owner, name, call in before:
            setattr(owner, name, call)


def write_list(path, n_events, parts, side):
    """Write an event list of parts: y and x in pixels of the image, from 0 to ``side``, and energies in eV."""
    template = fits.BinTableHDU(np.zeros(1, ROW), name="EVENTS")
    header = template.header
    header["NAXIS2"], header["EXPOSURE"] = n_events, 2e4
    for axis, kind, value, step in (("x", "RA---TAN", 150.0, -1), ("y", "DEC--TAN", 2.0, 1)):
        number = ROW.names.index(axis) + 1
        header[f"TLMIN{number}"], header[f"TLMAX{number}"] = 0.5, side + 0.5
        header[f"TCTYP{number}"], header[f"TCRVL{number}"], header[f"TCUNI{number}"] = kind, value, "deg"
        header[f"TCRPX{number}"], header[f"TCDLT{number}"] = side / 2, step * SCALE / 3600
    header[f"TUNIT{ROW.names.index('energy') + 1}"] = "eV"
    with open(path, "wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode())
        file.write(header.tostring().encode())
        for y, x, energies in parts:
            rows = np.zeros(len(energies), ROW)
            rows["y"], rows["x"], rows["energy"] = y + 0.5, x + 0.5, energies
            file.write(rows.tobytes())
        file.write(b"\0" * (-file.tell() % 2880))


def make_list(path, side, n_photons, flat, name, seed=0):
    """Write the list of a remnant with spectra of a model's, a part of its photons spread evenly over the field."""
    from astro_lpalm import load_model
    from astro_lpalm.demo import remnant_images

    rng, model = np.random.default_rng(seed), load_model(name)
    edges, names = 1e3 * model.energy_edges.value, model.component_names
    spectra = model.physics.spectra(np.full(len(model.physics.parameters), 0.5))
    images = remnant_images(min(side, 346), seed)
    shares = np.array([SHARES[each] for each in names])
    numbers = rng.poisson(shares / shares.sum() * n_photons)

    def draw(image, spectrum, n):
        cell = rng.choice(image.size, n, p=(image / image.sum()).ravel())
        even, bins = rng.random(n) < flat, rng.choice(len(spectrum), n, p=spectrum / spectrum.sum())
        places = [
            np.where(even, rng.random(n) * side, (at + rng.random(n)) * (side / len(image)))
            for at in np.divmod(cell, image.shape[1])
        ]
        return *places, edges[bins] + rng.random(n) * np.diff(edges)[bins]

    parts = (
        draw(np.maximum(images[each], 0), spectrum, min(PART, n - start))
        for each, spectrum, n in zip(names, spectra.T, numbers)
        for start in range(0, n, PART)
    )
    write_list(path, numbers.sum(), parts, side)


def make_cube(path, side, name, seed=0):
    """Write the counts of a remnant with spectra of a model's, 32-bit integers, drawn plane by plane."""
    from astro_lpalm import EventCube, load_model
    from astro_lpalm.cube import Planes
    from astro_lpalm.demo import remnant_images

    model, images = load_model(name), remnant_images(min(side, 346), seed)
    spectra = model.physics.spectra(np.full(len(model.physics.parameters), 0.5))
    shares = np.array([SHARES[each] for each in model.component_names])
    spectra = spectra / spectra.sum(axis=0) * shares / shares.sum()
    at = np.arange(side) * 346 // side if side > 346 else np.arange(side)
    images = np.stack([np.maximum(images[each], 0)[np.ix_(at, at)] for each in model.component_names])
    images = (PHOTONS * side**2 * images / images.sum(axis=(1, 2), keepdims=True)).astype(np.float32)

    def draw(start, stop):
        rngs = (np.random.default_rng([seed, energy]) for energy in range(start, stop))
        expected = np.tensordot(spectra[start:stop], images, 1)
        return np.stack([rng.poisson(plane).astype(np.int32) for rng, plane in zip(rngs, expected)])

    planes = Planes((len(spectra), side, side), np.int32, draw, depth=1)
    wcs = cube_of(np.ones((1, 1, 1)), model.energy_edges[:2]).wcs
    EventCube(planes, energy_edges=model.energy_edges, wcs=wcs).write(path)


def journey_larger(path, side, name, options):
    """Go from a FITS file of a cube, which stays in it, to written components, within the memory of one cube."""
    from astro_lpalm import EventCube

    warm_up(name, options["smooth"])
    before, marks = megabytes(), {}
    marks["MB cube"] = 65 * 4 * side**2 / 2**20
    if not options["smooth"]:  # whose images alone take more
        limit = int((megabytes("VmData") + marks["MB cube"]) * 2**20)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    start = time.process_time()
    cube = EventCube.read(path, memmap=True)
    marks["bin"], marks["MB to bin"] = time.process_time() - start, megabytes()
    return separated(cube, name, options, path, before, marks)


def megabytes(key="VmHWM"):
    """Read the highest resident size of this process."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1024


def warm_up(name, smooth=False):
    """Separate something small, for what is imported, tabulated and planned once."""
    import torch

    from astro_lpalm import load_model, separate

    torch.set_num_threads(1)
    model = load_model(name)
    few = np.random.default_rng(0).poisson(np.tensordot(model.prior.mean.T, remnant_sources(SHARES, 64, 10, 0), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)  # of what is small
        separate(cube_of(few, model.energy_edges), model, progress=False, smooth=smooth)


def journey(path, side, name, options):
    """Go from an event list to written components, and time the stages."""
    warm_up(name, options["smooth"])
    before, marks = megabytes(), {}
    start = time.process_time()
    cube = binned(path, side, name)
    marks["bin"], marks["MB to bin"] = time.process_time() - start, megabytes()
    return separated(cube, name, options, path, before, marks)


def journey_joint(paths, side, name, options):
    """Go from the event lists of several observations, or cubes in files, to written components."""
    from astro_lpalm import EventCube
    from astro_lpalm.forward import ExpectedBackground

    kinds, blank = options.pop("kinds"), None
    warm_up(name, options["smooth"])
    before, marks = megabytes(), {}
    start = time.process_time()

    def opened(path, kind):
        if kind == "file":
            return EventCube.read(path, memmap=True)
        return binned(path, side, name, sparse=kind == "photons")

    cubes = [opened(path, kind) for path, kind in zip(paths, kinds)]
    if len(paths) > len(kinds):
        blank = [ExpectedBackground(opened(paths[-1], kinds[0]), scale=0.1), *[None] * (len(kinds) - 1)]
    marks["bin"], marks["MB to bin"] = time.process_time() - start, megabytes()
    return separated(cubes, name, options | {"background": blank}, paths[0], before, marks)


def binned(path, side, name, sparse=None):
    """Bin an event list."""
    from astro_lpalm import EventCube

    bounds = (0.5, side + 0.5, 0.5, side + 0.5)
    return EventCube.from_events(path, model=name, bin_factor=1, bounds=bounds, sparse=sparse)


def separated(cube, name, options, path, before, marks):
    """Separate a cube, or several together, and write the components, and time the stages."""
    from astro_lpalm import separate

    with stage_times(time.process_time) as spent:
        start = time.process_time()
        result = separate(cube, name, progress=False, **options)
        marks["separate"], marks["MB to separate"] = time.process_time() - start, megabytes()
    marks |= spent
    start = time.process_time()
    result.write(Path(path).with_suffix(".out.fits"), overwrite=True)
    marks["write"], marks["MB"], marks["MB before"] = time.process_time() - start, megabytes(), before
    marks["file MB"] = os.path.getsize(Path(path).with_suffix(".out.fits")) / 2**20
    marks["counts"] = {each: float(value) for each, value in zip(result.names, result.diagnostics["counts"].value)}
    return marks


def write_cube(events, path, side, name):
    """Bin an event list, and write the cube laid out."""
    binned(events, side, name, sparse=False).write(path, overwrite=True)


def many_times(paths, output, name, client=None):
    """Time 50 resamplings of the first field, the separation of all fields, and a training set, by the clock."""
    from astro_lpalm import EventCube, TrainingSet, separate, separate_many

    if client is None:
        warm_up(name)
    else:
        client.run(warm_up, name)
    Path(output).mkdir()
    cube = EventCube.read(paths[0])
    with stage_times(time.perf_counter) as spent:
        separate(cube, name, progress=False, smooth=False, n_resamplings=50, client=client)
    taken, start = {"50 resamplings": spent["errors"]}, time.perf_counter()
    found = separate_many(paths, name, client=client, output=output, overwrite=True, smooth=False)
    taken[f"{len(paths)} fields"], start = time.perf_counter() - start, time.perf_counter()
    assert not any(each.failed for each in found)
    for each in SETS:
        TrainingSet.from_file(each, client=client, progress=False)
        taken[f"training set of {each}"], start = time.perf_counter() - start, time.perf_counter()
    TrainingSet.synthesize(*slow_libraries(), 1000, 20.0, seed=0, client=client, progress=False)
    taken["training set of slow spectra"] = time.perf_counter() - start
    return taken


def slow_photons(edges, index):
    """Photons of a power law in each bin by sums, which take milliseconds, as a plasma code of one's own does."""
    return np.mean(np.linspace(edges[:-1], edges[1:], 2000) ** -index, axis=0) * np.diff(edges)


def slow_libraries():
    """Give spectra that take long, and sources."""
    from astro_lpalm.missions import approximate_response
    from astro_lpalm.sources import SourceLibrary
    from astro_lpalm.spectra import ModelComponent, SpectralLibrary, user_model

    model, sources = user_model(slow_photons, {"index": (2.0, 1.0, 4.0)}), SourceLibrary.from_file("pwn-acis")
    ranges = zip(sources.component_names, [(1.2, 2.2), (2.4, 3.6)])
    components = [ModelComponent(name, model, {"index": each}) for name, each in ranges]
    response = approximate_response(np.linspace(0.5, 7, 66))
    return SpectralLibrary(components, response.channel_edges, response=response), sources


def training_times(name):
    """Time a training set and one epoch of a training."""
    import torch

    from astro_lpalm import TrainingSet, train

    torch.set_num_threads(1)
    start = time.process_time()
    training_set, settings = TrainingSet.from_file(name, progress=False)
    taken, start = {"set": time.process_time() - start}, time.process_time()
    # without the library nothing is tabulated at the end
    train(replace(training_set, library=None), **settings | {"epochs": 1}, progress=False)
    return taken | {"epoch": time.process_time() - start, "epochs": settings["epochs"], "examples": len(training_set)}


def by_workers(n_workers, folder, name, side=346):
    """Compare worker processes with one process that has none."""
    import dask
    from distributed import Client, LocalCluster

    paths = []
    for seed in range(N_FIELDS):
        events, path = str(Path(folder) / "events.fits"), str(Path(folder) / f"field_{seed}.fits")
        in_process(make_list, events, side, PHOTONS * side**2, 0.0, name, seed)
        in_process(write_cube, events, path, side, name)
        paths.append(path)
    alone = in_process(many_times, paths, folder + "/alone", name)
    # Dask has its workers give memory back at once, and get it again page by page, which takes longer than to compute.
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1}}),
        LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        together = many_times(paths, folder + "/together", name, client)
    return {what: {"one process": alone[what], "workers": together[what]} for what in alone}


def in_process(call, *arguments):
    """Run something in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(call, arguments)


def show(title, marks, pixels, last):
    """Print one line of figures, and the exponent since the line before."""
    stages = "  ".join(f"{stage} {marks[stage]:.2f}" for stage in STAGES if marks[stage] > 0.005)
    exponent = ""
    if last is not None:
        exponent = f"  exponent {np.log(marks['separate'] / last[0]) / np.log(pixels / last[1]):.2f}"
    print(
        f"{title}: bin {marks['bin']:.2f} s, separate {marks['separate']:.2f} s, write {marks['write']:.2f} s; "
        f"memory {marks['MB']:.0f} MB, {marks['MB'] - marks['MB before']:.0f} above the start "
        f"(bin {marks['MB to bin']:.0f}, separate {marks['MB to separate']:.0f}); file {marks['file MB']:.0f} MB"
        f"{exponent}\n    {stages}",
        flush=True,
    )


def main():
    """Print the figures, and write them as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="*", default=[346, 692, 1384], help="pixels (default %(default)s)")
    parser.add_argument("--smooth", action="store_true", help="with smooth images")
    parser.add_argument("--tile", action="store_true", help="a tile of eROSITA's sky")
    parser.add_argument("--joint", type=int, metavar="SIDE", help="observations together of 70,000 photons each")
    parser.add_argument("--kinds", nargs="+", default=KINDS[:1] * 2, choices=KINDS, help="of their cubes, one for each")
    parser.add_argument("--blank", action="store_true", help="with a blank field as the background of the first")
    parser.add_argument("--photons", type=float, help="so many in 2061 x 2061 pixels")
    parser.add_argument("--resample", action="store_true", help="50 resamplings of 346 x 346 pixels")
    parser.add_argument("--workers", type=int, help="the speed-up by so many worker processes")
    parser.add_argument("--larger", type=int, nargs="+", default=[], help="cubes that stay in their files, pixels")
    parser.add_argument("--training", nargs="+", default=[], metavar="NAME", help="sets of packaged models")
    parser.add_argument("--json", metavar="PATH", help="write the figures to this file too")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are begun from here on
    cases = [(f"{side} x {side}", side, PHOTONS * side**2, 0.0) for side in options.sides]
    squares = [title for title, *_ in cases]
    if options.tile:
        cases.append(("tile of 3240 x 3240", 3240, 7e4, 0.7))
    if options.photons:
        cases.append((f"2061 x 2061, {options.photons:.0f} photons", 2061, options.photons, 0.0))
    if options.resample:
        cases.append(("346 x 346, 50 resamplings", 346, PHOTONS * 346**2, 0.0))
    rows, last = {}, None
    with tempfile.TemporaryDirectory() as folder:
        for title, side, n_photons, flat in cases:
            path = str(Path(folder) / "events.fits")
            in_process(make_list, path, side, n_photons, flat, "snr-acis")
            how = {"smooth": options.smooth, "n_resamplings": 50 if "resamplings" in title else 0}
            marks = rows[title] = in_process(journey, path, side, "snr-acis", how)
            show(title, marks, side**2, last if title in squares else None)
            last = marks["separate"], side**2
        if options.joint:
            side, paths = options.joint, []
            kinds = [*options.kinds, *options.kinds[:1]] if options.blank else options.kinds
            for number, kind in enumerate(kinds):
                n_photons, flat = (7e4, 0.7) if number or not options.blank else (1.4e5, 0.85)
                if number == len(options.kinds):  # the blank field
                    n_photons, flat = 7e5, 1.0
                path = str(Path(folder) / f"events_{number}.fits")
                in_process(make_list, path, side, n_photons, flat, "snr-acis", number)
                if kind == "file":
                    in_process(write_cube, path, path, side, "snr-acis")
                paths.append(path)
            title = f"{side} x {side}, {' + '.join(options.kinds)}{', blank field' * options.blank}"
            how = {"smooth": options.smooth, "kinds": options.kinds}
            marks = rows[title] = in_process(journey_joint, paths, side, "snr-acis", how)
            show(title, marks, side**2, None)
        for side in options.larger:
            title, path = f"{side} x {side}, from its file", str(Path(folder) / "cube.fits")
            in_process(make_cube, path, side, "snr-acis")
            marks = rows[title] = in_process(journey_larger, path, side, "snr-acis", {"smooth": options.smooth})
            kept = "" if options.smooth else ", limit kept"
            show(f"{title} of {marks['MB cube']:.0f} MB{kept}", marks, side**2, None)
            os.unlink(path)
        for name in options.training:
            taken = rows[f"training {name}"] = in_process(training_times, name)
            whole = taken["epochs"] * taken["epoch"]
            print(
                f"{name}: {taken['examples']} examples in {taken['set']:.1f} s, training in {whole:.0f} s "
                f"({taken['epochs']} epochs of {taken['epoch']:.1f} s), {whole / taken['set']:.0f} times as long",
                flush=True,
            )
        if options.workers:
            rows["workers"] = by_workers(options.workers, folder, "snr-acis")
            for what, seconds in rows["workers"].items():
                alone, together = seconds.values()
                print(
                    f"{what}: {alone:.1f} s in one process, {together:.1f} s by {options.workers} workers: "
                    f"{alone / together:.2f} times faster (load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores)"
                )
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
