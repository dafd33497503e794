import os

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm import EventCube

from .. import toy
from .conftest import run

# What cannot be done


def change(source, target, function):
    """Write a changed copy of a FITS file."""
    with fits.open(source) as hdulist:
        copy = fits.HDUList([hdu.copy() for hdu in hdulist])
    copy = function(copy) or copy
    copy.writeto(target, checksum=True)


def set_column(name, values):
    def function(hdulist):
        hdulist["EVENTS"].data[name][: len(values)] = values

    return function


def drop_columns(*names):
    def function(hdulist):
        table = hdulist["EVENTS"]
        kept = [column for column in table.columns if column.name not in names]
        return fits.HDUList([hdulist[0], fits.BinTableHDU.from_columns(kept, name="EVENTS")])

    return function


def forget_the_sky(hdulist):
    columns = [fits.Column(c.name, c.format, unit=c.unit, array=c.array) for c in hdulist["EVENTS"].columns]
    return fits.HDUList([hdulist[0], fits.BinTableHDU.from_columns(columns, name="EVENTS")])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda hdulist: fits.HDUList(hdulist[::2]), "'bad.fits' has no EVENTS table: its extensions are PRIMARY, GTI"),
        (drop_columns("x"), "'bad.fits' has no sky coordinates X and Y: its columns are time"),
        (drop_columns("y"), "'bad.fits' has no sky coordinates X and Y"),
        (drop_columns("energy", "pi"), "'bad.fits' has neither ENERGY nor PI"),
        (forget_the_sky, "carry no celestial coordinates in TCTYPn"),
        (set_column("energy", [np.nan]), "ENERGY is not finite and not negative for 1 of"),
        (set_column("energy", [-5.0, -1.0]), "ENERGY is not finite and not negative for 2 of"),
        (set_column("energy", [np.inf]), "ENERGY is not finite"),
    ],
)  # fmt: skip
def test_bad_event_lists(files, here, fails, function, message):
    change(files / "events.fits", "bad.fits", function)
    fails(message, "bin", "bad.fits", "-o", "cube.fits")


@pytest.mark.parametrize("command", [["bin"], ["separate"], ["plot"], ["info"]])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "cannot read 'bad.fits' as a FITS file"),
        (b"", "cannot read 'bad.fits' as a FITS file"),
        (None, "there is no file 'bad.fits'"),
    ],
)
def test_files_that_are_not_fits(files, here, fails, command, content, message):
    if content is not None:
        (here / "bad.fits").write_bytes(content)
    extra = {"bin": ["-o", "new.fits"], "separate": [files / "model.fits", "-o", "new.fits"], "plot": ["-o", "new.png"]}
    fails(message, command[0], "bad.fits", *extra.get(command[0], []))


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
def test_truncated_files(files, here, fails, share, suffix):
    with fits.open(files / "events.fits") as hdulist:
        hdulist.writeto(f"events.{suffix}")
    run("separate", files / "cube.fits", files / "model.fits", "-o", f"components.{suffix}", "--quiet")
    with fits.open(files / "cube.fits") as hdulist:
        hdulist.writeto(f"cube.{suffix}")
    for name in ("events", "components", "cube"):
        path = here / f"{name}.{suffix}"
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    fails("truncated", "bin", f"events.{suffix}", "-o", "new.fits")
    fails("truncated", "separate", f"cube.{suffix}", files / "model.fits", "-o", "new.fits")
    fails("truncated", "plot", f"components.{suffix}", "-o", "new.png")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("--energy 8 9", "none of the .* events lies between 8( keV)? and 9 keV"),
        ("--energy 8 9 --bounds 4000 4200 4000 4200", "none of the .* events is selected by 65 bins from 8 to 9 keV"),
        ("--bounds 1 9 1 9", "none of the .* events is selected .* outside the image"),
        ("--energy 500 7000", "none of the .* lies between 500.* in keV: did you mean 0.5 to 7"),
        ("--energy 4 1", r"increasing, but is \[4. 1.\] keV"),
        ("--energy 1 nan", "energy must be finite"),
        ("--energy -1 4", "not negative"),
        ("--energy-edges 1 3 2", "energy_edges must be finite, not negative and increasing"),
        ("--energy-edges 1 2 2 3", "energy_edges must be finite, not negative and increasing"),
        ("--energy-edges 1", "at least two energies"),
        ("--energy-edges 1 2 --energy 1 2", "give either energy_edges or energy and n_energy, not both"),
        ("--n-energy 0", "n_energy=0 must be a positive whole number"),
        ("--bin-factor 0", "bin_factor=0.0 must be a positive number"),
        ("--bin-factor 2 --pixel-scale 2", "give either bin_factor or pixel_scale, not both"),
        ("--bounds 9 1 1 9", "with x0 < x1 and y0 < y1"),
        ("--center 350.866,58.815", "center and size must be given together"),
        ("--center 350.866,58.815 --size 1 2 3", "size=.* must be 1 or 2 positive"),
        ("--center 170,-58 --size 20", "other side of the sky"),
        ("--center 350.866,58.815 --size 1deg --pixel-scale 0.001", "larger bin_factor or pixel_scale"),
        ("--for snr-acsi", "'snr-acsi' is neither a file nor a packaged model; the packaged ones are: .*snr-acis"),
        ("--region missing.reg", "there is no region file 'missing.reg'"),
        ("--region off.reg", "region"),
        ("--region empty.reg", "region file 'empty.reg' holds no shape"),
        ("--region nonsense.reg", "region file 'nonsense.reg'"),
    ],
)
def test_bad_selections(files, here, fails, settings, message):
    (here / "off.reg").write_text('fk5\ncircle(20, 30, 8")\n')
    (here / "empty.reg").write_text("# Region file format: DS9 version 4.1\nglobal color=green\nfk5\n")
    (here / "nonsense.reg").write_text("fk5\ncirle(20, 30, 8)\n")
    arguments = [argument.replace(",", " ") for argument in settings.split()]
    fails(message, "bin", files / "events.fits", "-o", "cube.fits", *arguments)


def bad_cube(data=None, **cards):
    def function(hdulist):
        if data is not None:
            hdulist[0].data = data
        for key, value in cards.items():
            hdulist[0].header[key] = value

    return function


def spoil(value):
    data = toy.cube().data.astype(float)
    data[3, 4, 5] = value
    return data


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bad_cube(np.ones((28, 33))), r"a cube is a 3-D image .* PRIMARY \(28, 33\)"),
        (bad_cube(np.ones((2, 12, 28, 33))), r"a cube is a 3-D image .* PRIMARY \(2, 12, 28, 33\)"),
        (bad_cube(CTYPE1="LINEAR", CTYPE2="LINEAR"), "no celestial WCS on its first two FITS axes"),
        (bad_cube(np.zeros((12, 28, 33))), "the cube is zero everywhere"),
        (bad_cube(spoil(np.nan)), "1 unmasked pixels hold NaN or infinity"),
        (bad_cube(spoil(np.inf)), "1 unmasked pixels hold NaN or infinity"),
        (bad_cube(np.ones((7, 28, 33))), "the cube has 7 energies .* 12 bins from 1 to 4 keV"),
        (lambda hdulist: fits.HDUList([fits.PrimaryHDU(), hdulist[1]]), "there is no image; to bin an event list"),
    ],
)
def test_bad_cubes(files, here, fails, function, message):
    change(files / "cube.fits", "bad.fits", function)
    fails(f"'bad.fits': .*{message}", "separate", "bad.fits", files / "model.fits", "-o", "components.fits")


def test_energies_that_do_not_meet(files, here, fails):
    cube = EventCube(toy.cube().data, energy_edges=toy.EDGES + 4 * u.keV, wcs=toy.wcs())
    cube.write("cube.fits")
    message = "do not nest: the cube has 12 bins from 5 to 8 keV, .* asked for were 12 bins from 1 to 4 keV"
    fails(message, "separate", "cube.fits", files / "model.fits", "-o", "components.fits")


def test_bad_models(files, here, fails):
    command = ["separate", files / "cube.fits", "model.fits", "-o", "components.fits"]
    fails("'model.fits' is neither a file nor a packaged model; the packaged ones are: .*snr-acis", *command)
    content = (files / "model.fits").read_bytes()
    path = here / "model.fits"
    with fits.open(files / "model.fits") as hdulist:
        hdulist[0].header["MODELVER"] = 99
        hdulist.writeto(path, checksum=True)
    fails("'model.fits' is a model of format version 99, but astro_lpalm .* reads version 1", *command)
    fails("format version 99", "info", "model.fits")
    with fits.open(files / "model.fits") as hdulist:
        position = hdulist["WEIGHT_THETA"].fileinfo()["datLoc"]
    path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
    fails(r"'model.fits': the checksum of extension \d \(WEIGHT_THETA\) is missing or wrong", *command)
    fails("checksum", "info", "model.fits")
    path.write_bytes(content[: len(content) // 2])
    fails("model.fits", *command)
    path.write_bytes((files / "cube.fits").read_bytes())
    fails("'model.fits' is a FITS file but not a model", *command)
    path.write_bytes((files / "components.toml").read_bytes())
    fails("cannot read 'model.fits' as a FITS file", *command)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[energy]", "[energy", "components.toml'.* not a TOML file"),
        ("range = [1.0, 4.0]", "range = [4.0, 1.0]", "components.toml', energy.range: .*increas"),
        ("photon_index", "photon_indx", "components.toml', component 'soft', parameters: unknown key 'photon_indx'"),
        ('model = "Synchrotron"', 'model = "Power"', "unknown model = 'Power'; choose from Synchrotron"),
        ("fraction = 0.5", "fraction = 1.5", "components.toml.*fraction"),
        ("n_samples = 40", "n_sample = 40", r"training: unknown key 'n_sample'; allowed are n_samples"),
        ("n_samples = 40", "n_samples = 1", "n_samples is 1"),
        ("epochs = 2", "epochs = 0", "epochs = 0 is not a positive whole number"),
        ("batch_size = 6", "batch_size = 60", "do not fill a batch of 60"),
    ],
)
def test_bad_components_files(here, fails, old, new, message):
    (here / "components.toml").write_text(toy.COMPONENTS.replace(old, new))
    fails(message, "train", "components.toml", "-o", "model.fits")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("--epochs 0", "epochs is 0"),
        ("--n-layers 0", "n_layers is 0"),
        ("--learning-rate -1", "learning_rate is -1.0"),
        ("--n-pixels 1", "n_pixels 1"),
        ("--seed -1", "seed|negative"),
        ("--checkpoint missing/checkpoint.fits", "no directory 'missing'"),
        ("--device nodevice", "nodevice"),
    ],
)
def test_bad_settings_of_a_training(files, here, fails, settings, message):
    fails(message, "train", files / "components.toml", "-o", "model.fits", *settings.split())


@pytest.mark.parametrize("command", ["train", "simulate"])
def test_missing_components_file(here, fails, command):
    fails("there is no components file 'missing.toml'", command, "missing.toml", "-o", "new.fits")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("--exposure -5", "exposure=.* must be a positive time"),
        ("--exposure-map missing.fits", "there is no file 'missing.fits'"),
        ("--psf missing.fits", "there is no file 'missing.fits'"),
        ("--psf -1", "is not a positive angle"),
        ("--counts soft=1", "components.toml', simulation.counts: 'hard' is missing"),
        ("--counts soft=1 lumpy=1", "simulation.counts: unknown key 'lumpy'; allowed are soft, hard"),
        ("--counts 1 --flux 1", "simulation: give either counts or flux, not both"),
        ("--counts -3", "simulation.counts: -3.0 is not a number of counts, 0 or more"),
        ("--counts 1e13", "events are expected, more than"),
        ("--background -1", "simulation.background.rate: -1.0 is not a number"),
        ("--correlation 2", "simulation.correlation: 2.0 is not a number from 0 to 1"),
        ("--size 1 2 3", "size=.* must be one or two positive angles"),
        ("--size 0", r"size=\[0.\] arcsec must be one or two positive angles"),
        ("--size 9deg", "size=.* makes 32927 x 32927 pixels of 0.984 arcsec; at most 8192 to a side"),
        ("--size 9deg --pixel-scale 1arcmin", "do not fit on Chandra's sky image"),
        ("--seed -1", "seed|negative"),
        ("--truth new.fits", "--output and --truth are both 'new.fits'; give each a name of its own"),
        ("--truth missing/truth.fits", "no directory 'missing'"),
    ],
)
def test_bad_settings_of_a_simulation(files, fails, settings, message):
    fails(message, "simulate", files / "components.toml", "-o", "new.fits", *settings.split())


def test_truth_is_not_replaced_either(files, here, fails, nothing_is_done):
    (here / "truth.fits").write_text("mine")
    fails(
        "truth.fits' exists already", "simulate", files / "components.toml", "-o", "new.fits", "--truth", "truth.fits"
    )


def commands(files):
    """All that write a file, with what they read in place."""
    return {
        "bin": [files / "events.fits"],
        "simulate": [files / "components.toml"],
        "train": [files / "components.toml"],
        "separate": [files / "cube.fits", files / "model.fits"],
        "plot": [files / "components.fits"],
    }


@pytest.fixture
def nothing_is_done(monkeypatch):
    """What would take long fails the test."""
    for target in (
        "astro_lpalm.cube.EventCube.from_events",
        "astro_lpalm.simulate.simulate_from_file",
        "astro_lpalm.training.TrainingSet.from_file",
        "astro_lpalm.training.train",
        "astro_lpalm.pipeline.separate",
        "astro_lpalm.results.Separation.read",
    ):
        monkeypatch.setattr(target, lambda *arguments, **settings: pytest.fail("nothing must be computed"))


@pytest.mark.parametrize("command", ["bin", "simulate", "train", "separate", "plot"])
def test_output_is_checked_first(files, here, fails, nothing_is_done, command):
    (here / "there.fits").write_text("mine")
    for output, message in [
        ("there.fits", r"'there.fits' exists already; .*--overwrite"),
        ("missing/new.fits", "cannot write 'missing/new.fits': there is no directory 'missing'; create it first"),
        (".", "cannot write '.': it is a directory"),
        ("there.fits/new.fits", "'there.fits' is a file, not a directory"),
    ]:
        fails(message, command, *commands(files)[command], "-o", output)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("command", ["bin", "simulate", "train", "separate", "plot"])
def test_directory_without_permission(files, here, fails, nothing_is_done, command):
    (here / "locked").mkdir(mode=0o500)
    fails(
        "cannot write 'locked/new.fits': permission denied", command, *commands(files)[command], "-o", "locked/new.fits"
    )


@pytest.mark.parametrize("command", ["bin", "separate"])
def test_overwrite(files, here, command):
    (here / "there.fits").write_text("old")
    assert run(command, *commands(files)[command], "-o", "there.fits", "--overwrite", "--quiet") == 0
    assert (here / "there.fits").read_bytes().startswith(b"SIMPLE")


def test_overwrite_keeps_the_old_file_where_the_new_one_fails(files, here, fails):
    (here / "there.fits").write_text("old")
    fails("exists|none of", "bin", files / "events.fits", "-o", "there.fits", "--overwrite", "--energy", 8, 9)


def test_other_failures(files, here, fails):
    separation = ["separate", files / "cube.fits", files / "model.fits", "-o", "new.fits"]
    fails("nodevice", *separation, "--device", "nodevice")
    fails("there is no transform 'curvelet'; choose 'starlet'", *separation, "--transform", "curvelet")
    fails("is not a file written by Separation.write", "plot", files / "cube.fits", "-o", "new.png")
    fails("a cube is a 3-D image .* to bin an event list: astro-lpalm bin", "info", files / "events.fits")
    fails("to bin an event list: astro-lpalm bin", "separate", files / "events.fits", *separation[2:])
    for command in (separation, ["demo"], ["train", files / "components.toml", "-o", "new.fits"]):
        fails("device 'nodevice' here; the devices are: cpu", *command, "--device", "nodevice")
    assert run(*separation[:3], "-o", "components.fits", "--quiet") == 0
    fails("xyz", "plot", "components.fits", "-o", "figure.xyz")


def test_device_that_torch_was_not_built_for(files, here, fails):
    # torch raises another kind of error for each reason why a device cannot be used.
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    fails(
        "device 'cuda' here; the devices are: cpu",
        "separate",
        files / "cube.fits",
        files / "model.fits",
        "-o",
        "new.fits",
        "--device",
        "cuda",
    )


@pytest.mark.parametrize(
    "command",
    [
        ("train", "precious"),
        ("simulate", "precious"),
        ("bin", "precious"),
        ("bin", "one.fits", "two.fits", "--exposure", "one.map", "precious[EXPMAP]"),
        ("separate", "precious", "snr-acis"),
        ("separate", "cube.fits", "snr-acis", "--background", "precious"),
        ("plot", "precious"),
    ],
)
def test_input_is_never_replaced_by_its_own_output(here, capsys, command):
    (here / "precious").write_text("precious")
    assert run(*command, "-o", here / "precious", "--overwrite") == 1
    assert "precious' is the file that it would be made of; choose another name" in capsys.readouterr().err
    assert (here / "precious").read_text() == "precious"
