import logging
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astro_lpalm import EventCube, __version__, demo, separate
from astro_lpalm.cli import main
from astro_lpalm.model import Model
from astro_lpalm.results import Separation
from astro_lpalm.simulate import simulate_events

from . import toy

CENTER = SkyCoord(350.866, 58.815, unit="deg")
COMMANDS = ["demo", "bin", "train", "separate", "plot", "info"]
COMPONENTS = """
[energy]
range = [1.0, 4.0]
n_bins = 12
[response]
instrument = "acis-s"
[[components]]
name = "soft"
model = "Synchrotron"
[components.parameters]
photon_index = [3.5, 4.5]
[components.source]
fraction = 0.5
shape = 0.5
[[components]]
name = "hard"
model = "Synchrotron"
[components.parameters]
photon_index = [0.5, 1.0]
[components.source]
fraction = 0.5
shape = 0.5
[training]
n_samples = 40
n_pixels = 60
epochs = 2
batch_size = 6
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An event list, the cube and the model made for it, and the components file: what the commands work on."""
    folder = tmp_path_factory.mktemp("files")
    events = simulate_events(toy.images(), toy.spectra(), toy.EDGES, center=CENTER, pixel_scale=1 * u.arcsec, seed=0)
    events.writeto(folder / "events.fits")
    toy.cube().write(folder / "cube.fits")
    toy.model().write(folder / "model.fits")
    (folder / "components.toml").write_text(COMPONENTS)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def fails(here, capsys):
    """Run a command that cannot be done: it says why in one line, and leaves every file as it was."""

    def check(message, *arguments):
        before = contents(here)
        assert run(*arguments, "--quiet") == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith(f"astro-lpalm {arguments[0]}: ")
        assert re.search(message, err), err
        assert contents(here) == before

    return check


# What the commands do


def test_bin(files, here, capsys):
    settings = ["--energy", 1, 4, "--n-energy", 12, "--pixel-scale", 1, "--center", "350.866 58.815", "--size", 33, 28]
    assert run("bin", files / "events.fits", "-o", "cube.fits", *settings) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d+ of \d+ events counted; left out: .*\n", err)
    expected = EventCube.from_events(
        files / "events.fits", energy=(1, 4) * u.keV, n_energy=12, pixel_scale=1 * u.arcsec, center=CENTER,
        size=(33, 28) * u.arcsec,
    )  # fmt: skip
    cube = EventCube.read("cube.fits")
    np.testing.assert_array_equal(cube.data, expected.data)
    np.testing.assert_array_equal(cube.energy_edges, expected.energy_edges)
    assert cube.wcs.wcs.compare(expected.wcs.wcs)
    assert cube.data.sum() > 0.99 * len(fits.getdata(files / "events.fits", "EVENTS"))


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("--energy 1keV 4keV --bin-factor 3", "--energy 1000eV 4keV --bin-factor 3"),
        ("--energy 1 4 --bin-factor 3", "--energy 1keV 0.004MeV --bin-factor 3"),
        ("--energy-edges 1 2.5 4 --bin-factor 3", "--energy-edges 1000eV 2.5keV 4 --bin-factor 3"),
        ("--energy 1 4 --pixel-scale 1.2", "--energy 1 4 --pixel-scale 0.02arcmin"),
        ("--bounds 4060 4130 4060 4120", "--bounds 4060.0 4130 4.06e3 4120"),
        ("--center 350.866,58.815 --size 20", "--center 23:23:27.84,58:48:54 --size 20arcsec"),
        ("--center 350.866,58.815 --size 0.5arcmin 20", "--center 23h23m27.84s,58d48m54s --size 30 20"),
        ("--center 350.866,58.815 --size 20", "--center 350.866d,58.815d --size 20arcsec"),
        ("--center 350.866,58.815 --size 20", "--center 23,23,27.84,+58,48,54 --size 20"),
    ],
)
def test_units_and_ways_to_write_them(files, here, given, same):
    cubes = []
    for name, settings in (("one.fits", given), ("two.fits", same)):
        arguments = [argument.replace(",", " ") for argument in settings.split()]
        assert run("bin", files / "events.fits", "-o", name, *arguments, "--quiet") == 0
        cubes.append(EventCube.read(name))
    np.testing.assert_array_equal(cubes[0].data, cubes[1].data)
    np.testing.assert_allclose(cubes[0].energy_edges, cubes[1].energy_edges, rtol=1e-12)
    np.testing.assert_allclose(cubes[0].wcs.wcs.crpix, cubes[1].wcs.wcs.crpix, atol=1e-4)


def test_bin_in_a_region(files, here):
    (here / "circle.reg").write_text('fk5\ncircle(350.866, 58.815, 8")\n')
    assert run("bin", files / "events.fits", "-o", "cube.fits", "--region", "circle.reg", "--bin-factor", 2) == 0
    cube = EventCube.read("cube.fits")
    assert np.sum(~cube.pixel_mask) * 0.984**2 == pytest.approx(np.pi * 8**2, rel=0.03)
    assert not cube.data[:, cube.pixel_mask].any()


def test_train(files, here, capsys):
    settings = ["--n-samples", 30, "--n-layers", 3, "--snr-db", 20, 30, "--seed", 5]
    assert run("train", files / "components.toml", "-o", "mine.v2.fits", *settings) == 0
    model = Model.read("mine.v2.fits")
    assert model.name == "mine"
    assert model.component_names == ("soft", "hard")
    assert model.network.settings == {"s_update": "lista-cp", "a_update": "ista-ll", "n_layers": 3}
    np.testing.assert_allclose(model.energy_edges, toy.EDGES)
    assert len(model.history) == model.description["EPOCHS"] == 2
    described = {"N_SAMPLE": 30, "N_PIXEL": 60, "SNR_LOW": 20, "SNR_HIGH": 30, "BATCH": 6, "SEED": 5}
    assert model.description.items() >= described.items()
    assert run("train", files / "components.toml", "-o", "same.fits", *settings, "--quiet") == 0
    assert Model.read("same.fits").checksum == model.checksum
    assert run("train", files / "components.toml", "-o", "other.fits", *settings, "--seed", 6, "--quiet") == 0
    assert Model.read("other.fits").checksum != model.checksum


def test_train_goes_on_from_a_checkpoint(files, here):
    settings = ["--n-layers", 2, "--epochs", 3, "--quiet", "--checkpoint", "checkpoint.fits"]
    assert run("train", files / "components.toml", "-o", "one.fits", *settings) == 0
    assert (here / "checkpoint.fits").exists()
    assert run("train", files / "components.toml", "-o", "two.fits", *settings) == 0
    assert Model.read("two.fits").history == Model.read("one.fits").history


def test_train_for_a_name_that_fits_headers_cannot_hold(files, here):
    assert run("train", files / "components.toml", "-o", "modèle.fits", "--n-layers", 1, "--quiet") == 0
    assert Model.read("modèle.fits").name == "mod?le"


def test_separate(files, here, capsys):
    assert run("separate", files / "cube.fits", files / "model.fits", "-o", "components.fits") == 0
    out, err = capsys.readouterr()
    result = Separation.read("components.fits")
    expected = separate(files / "cube.fits", files / "model.fits")
    np.testing.assert_allclose(result.sources, expected.sources, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(result.mixing, expected.mixing)
    assert result.header["MODEL"] == "toy"
    assert all(name in out for name in ("component", "counts", "soft", "hard"))
    assert re.fullmatch(r"the solver ran \d+ iterations, converged: (True|False)\n", err)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--no-refine"], {"refine": False}),
        (["--transform", "db4"], {"transform": "db4"}),
        (["--device", "cpu"], {"device": "cpu"}),
    ],
)
def test_separate_with_settings(files, here, options, settings):
    assert run("separate", files / "cube.fits", files / "model.fits", "-o", "c.fits", *options, "--quiet") == 0
    expected = separate(files / "cube.fits", files / "model.fits", **settings)
    np.testing.assert_allclose(Separation.read("c.fits").sources, expected.sources, rtol=1e-5, atol=1e-4)


def test_the_whole_journey(files, here, capsys):
    settings = ["--energy", "1keV", "4keV", "--n-energy", 12, "--pixel-scale", "1arcsec"]
    assert run("bin", files / "events.fits", "-o", "cube.fits", *settings) == 0
    assert run("train", files / "components.toml", "-o", "model.fits", "--n-layers", 3) == 0
    assert run("separate", "cube.fits", "model.fits", "-o", "components.fits") == 0
    assert run("plot", "components.fits", "-o", "components.png") == 0
    assert (here / "components.png").read_bytes().startswith(b"\x89PNG")
    assert set(contents(here)) == {"cube.fits", "model.fits", "components.fits", "components.png"}
    capsys.readouterr()
    for name in ("cube.fits", "model.fits", "components.fits"):
        assert run("info", name) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["pdf", "svg"])
def test_plot_of_another_kind(files, here, kind):
    assert run("separate", files / "cube.fits", files / "model.fits", "-o", "components.fits", "--quiet") == 0
    assert run("plot", "components.fits", "-o", f"figure.{kind}", "--quiet") == 0
    assert {"pdf": b"%PDF", "svg": b"<?xml"}[kind] == (here / f"figure.{kind}").read_bytes()[: 4 + (kind == "svg")]


def test_info(files, here, capsys):
    assert run("info", files / "cube.fits") == 0
    out = capsys.readouterr().out
    assert "12 bins from 1 to 4 keV" in out
    assert "33 x 28 pixels" in out
    assert f"{toy.cube().data.sum()} counts" in out
    assert run("info", files / "model.fits") == 0
    assert toy.model().checksum in capsys.readouterr().out
    assert run("separate", files / "cube.fits", files / "model.fits", "-o", "components.fits", "--quiet") == 0
    assert run("info", "components.fits") == 0
    out = capsys.readouterr().out
    assert "<Separation of" in out
    assert "share" in out


def test_info_on_a_packaged_model(here, capsys):
    assert run("info", "snr-acis") == 0
    out = capsys.readouterr().out
    assert "synchrotron, thermal, iron_red, iron_blue" in out
    assert re.search(r"median NMSE .* sources \d\.\d\de-\d\d, spectra", out)


def test_demo(here, capsys, monkeypatch):
    monkeypatch.setattr(demo, "_SIZE", 60)
    monkeypatch.setattr(demo, "_COUNTS", {name: counts / 16 for name, counts in demo._COUNTS.items()})
    assert run("demo", "--seed", 2) == 0
    out, err = capsys.readouterr()
    files = {"events.fits", "cube.fits", "components.fits", "components.png", "summary.ecsv"}
    assert set(contents(here / "astro-lpalm-demo")) == files
    for word in ("synchrotron", "iron_blue", "image_correlation", "spectral_cosine", "seconds: simulate"):
        assert word in out
    assert "events counted" in err
    assert run("demo") == 1
    assert "events.fits' exists already" in capsys.readouterr().err
    assert run("demo", "--output", "elsewhere", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert set(contents(here / "elsewhere")) == files


def test_quiet_is_silent(files, here, capfd):
    assert run("bin", files / "events.fits", "-o", "cube.fits", "--bin-factor", 2, "--quiet") == 0
    assert run("train", files / "components.toml", "-o", "model.fits", "--n-layers", 2, "--quiet") == 0
    assert run("separate", files / "cube.fits", "model.fits", "-o", "components.fits", "--quiet") == 0
    assert run("plot", "components.fits", "-o", "components.png", "--quiet") == 0
    assert capfd.readouterr() == ("", "")


# How it is called


def run_in_a_shell(*arguments):
    code = "import sys; from astro_lpalm.cli import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


def test_in_a_shell(files, here):
    done = run_in_a_shell("bin", files / "events.fits", "-o", "cube.fits", "--bin-factor", 4)
    assert (done.returncode, done.stdout) == (0, "")
    failed = run_in_a_shell("bin", files / "events.fits", "-o", "cube.fits", "--bin-factor", 4)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == (
        "astro-lpalm bin: 'cube.fits' exists already; choose another name, or pass overwrite=True (--overwrite) to "
        "replace it.\n"
    )
    assert run_in_a_shell("bin").returncode == 2


def test_command_is_installed():
    (command,) = entry_points(group="console_scripts", name="astro-lpalm")
    assert command.load() is main


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--version")
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"astro_lpalm {__version__}\n"


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^ +{command} +\S", out, flags=re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("demo", "--output --overwrite --seed --device"),
        ("bin", "--output --overwrite --energy --n-energy --energy-edges --bin-factor --pixel-scale --bounds --center "
                "--size --region"),
        ("train", "--output --overwrite --n-samples --n-pixels --snr-db --n-layers --epochs --batch-size "
                  "--learning-rate --checkpoint --seed --device"),
        ("separate", "--output --overwrite --transform --no-refine --device"),
        ("plot", "--output --overwrite"),
        ("info", ""),
    ],
)  # fmt: skip
def test_help_of_a_command(command, options, capsys):
    with pytest.raises(SystemExit) as stop:
        run(command, "--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for option in [*options.split(), "--quiet", "--debug"]:
        # Every option is explained.
        assert re.search(rf"^  (-o, )?(-o OUTPUT, )?{option}\b[^\n]*(  |\n {{10,}})\S+", out, flags=re.MULTILINE), (
            option
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "required: COMMAND"),
        ("seperate", "invalid choice: 'seperate'"),
        ("bin", "required: events, -o/--output"),
        ("bin events.fits", "required: -o/--output"),
        ("bin events.fits -o c.fits --energy 1", "expected 2 arguments"),
        ("bin events.fits -o c.fits --energy 1pc 2pc", "'1pc' is not a number of keV"),
        ("bin events.fits -o c.fits --energy low high", "'low' is not a number of keV .such as 1.5 or '1.5 keV'."),
        ("bin events.fits -o c.fits --pixel-scale 1keV", "'1keV' is not a number of arcsec"),
        ("bin events.fits -o c.fits --center pulsar", "'pulsar' is not a sky position"),
        ("bin events.fits -o c.fits --center 350", "'350' is not a sky position"),
        ("bin events.fits -o c.fits --bounds 1 2 3", "expected 4 arguments"),
        ("bin events.fits -o c.fits --n-energy 6.5", "invalid int value: '6.5'"),
        ("train c.toml -o m.fits --epochs many", "invalid int value: 'many'"),
        ("separate cube.fits -o c.fits", "required: model"),
        ("info", "required: file"),
        ("info cube.fits --output c.fits", "unrecognized arguments: --output c.fits"),
    ],
)
def test_wrong_usage(here, arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*arguments.split())
    assert stop.value.code == 2
    assert re.search(message, capsys.readouterr().err)
    assert contents(here) == {}


def test_debug_shows_where_it_went_wrong(here):
    with pytest.raises(FileNotFoundError, match="there is no file 'missing.fits'"):
        run("info", "missing.fits", "--debug")


def test_faults_of_the_program_are_not_hidden(files, here, monkeypatch):
    def faulty(*arguments, **settings):
        return {}.missing

    monkeypatch.setattr(EventCube, "from_events", faulty)
    with pytest.raises(AttributeError):
        run("bin", files / "events.fits", "-o", "cube.fits")


def test_interruption_is_no_fault_of_the_program(files, fails, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(EventCube, "from_events", interrupted)
    fails("KeyboardInterrupt", "bin", files / "events.fits", "-o", "cube.fits")


@pytest.mark.parametrize("option", [[], ["--quiet"]])
def test_logging_is_left_as_it_was(files, here, option):
    root, own = logging.getLogger(), logging.getLogger("astro_lpalm")
    before = list(root.handlers), root.level, list(own.handlers), own.level
    run("bin", files / "events.fits", "-o", "cube.fits", "--bin-factor", 2, *option)
    run("info", "missing.fits", *option)
    assert (list(root.handlers), root.level, list(own.handlers), own.level) == before


# What cannot be done


def change(source, target, function):
    """Write a changed copy of a FITS file."""
    with fits.open(source) as hdulist:
        copy = fits.HDUList([hdu.copy() for hdu in hdulist])
    copy = function(copy) or copy
    copy.writeto(target)


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
    (here / "components.toml").write_text(COMPONENTS.replace(old, new))
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


def test_missing_components_file(here, fails):
    fails("there is no components file 'missing.toml'", "train", "missing.toml", "-o", "model.fits")


def commands(files):
    """All that write a file, with what they read in place."""
    return {
        "bin": [files / "events.fits"],
        "train": [files / "components.toml"],
        "separate": [files / "cube.fits", files / "model.fits"],
        "plot": [files / "components.fits"],
    }


@pytest.fixture
def nothing_is_done(monkeypatch):
    """What would take long fails the test."""
    for target in (
        "astro_lpalm.cube.EventCube.from_events",
        "astro_lpalm.training.TrainingSet.from_file",
        "astro_lpalm.training.train",
        "astro_lpalm.pipeline.separate",
        "astro_lpalm.results.Separation.read",
    ):
        monkeypatch.setattr(target, lambda *arguments, **settings: pytest.fail("nothing must be computed"))


@pytest.mark.parametrize("command", ["bin", "train", "separate", "plot"])
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
@pytest.mark.parametrize("command", ["bin", "train", "separate", "plot"])
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
    fails("a cube is a 3-D image", "info", files / "events.fits")
    fails("nodevice", "demo", "--device", "nodevice")
    assert run(*separation[:3], "-o", "components.fits", "--quiet") == 0
    fails("xyz", "plot", "components.fits", "-o", "figure.xyz")


def test_device_that_torch_was_not_built_for(files, here, fails):
    # torch raises another kind of error for each reason why a device cannot be used.
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    fails(
        "CUDA|cuda|NVIDIA", "separate", files / "cube.fits", files / "model.fits", "-o", "new.fits", "--device", "cuda"
    )
