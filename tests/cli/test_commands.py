import inspect
import logging
import re
import subprocess
import sys
from importlib.metadata import entry_points

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm import EventCube, __version__, demo, load_model, separate
from astro_lpalm.cli import main
from astro_lpalm.model import Model
from astro_lpalm.results import Separation
from astro_lpalm.simulate import simulate_from_file
from astro_lpalm.training import train

from .. import toy
from ..instrument.ogip_files import make_rmf, save
from ..missions.layouts import listed
from .conftest import COMMANDS, contents, run


def test_bin(files, here, capsys):
    settings = ["--energy", 1, 4, "--n-energy", 12, "--pixel-scale", 1, "--center", "350.866 58.815", "--size", 33, 28]
    assert run("bin", files / "events.fits", "-o", "cube.fits", *settings) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d+ of \d+ events counted; left out: .*\n", err)
    expected = EventCube.from_events(
        files / "events.fits", energy=(1, 4) * u.keV, n_energy=12, pixel_scale=1 * u.arcsec, center=toy.CENTER,
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


def test_simulate(files, here, capsys):
    place = ["--center", "350.866 58.815", "--pixel-scale", "1arcsec", "--size", 33, "28arcsec"]
    light = ["--exposure", 20, "--counts", "soft=3e4", "hard=2e4", "--psf", 1.5, "--background", 0.1]
    settings = [*place, *light, "--correlation", 0.5]
    files_out = ["-o", "events.fits", "--truth", "truth.fits"]
    assert run("simulate", files / "components.toml", *files_out, *settings, "--seed", 4) == 0
    out, err = capsys.readouterr()
    assert out.startswith("<Separation of ")
    assert re.match(r"\d+ events simulated; \d+ more photons went beyond", err)
    events, expected = simulate_from_file(
        files / "components.toml", seed=4, exposure=20 * u.ks, center=toy.CENTER, pixel_scale=1 * u.arcsec,
        size=(33, 28) * u.arcsec, counts={"soft": 3e4, "hard": 2e4}, psf=1.5 * u.arcsec, background=0.1,
        correlation=0.5,
    )  # fmt: skip
    with fits.open("events.fits", checksum=True) as hdulist:
        np.testing.assert_array_equal(hdulist["EVENTS"].data, events["EVENTS"].data)
    truth = Separation.read("truth.fits")
    assert truth.names == ("soft", "hard", "background")
    np.testing.assert_allclose(truth.sources, expected.sources, rtol=1e-5, atol=1e-4)
    assert run("simulate", files / "components.toml", "-o", "same.fits", *settings, "--seed", 4, "--quiet") == 0
    when = {"ignore_keywords": ["DATE", "CHECKSUM"], "ignore_comments": ["DATASUM"]}
    assert fits.FITSDiff("events.fits", "same.fits", **when).identical
    # What comes out goes on: it is binned onto the truth's own pixels.
    grid = ["--energy", 1, 4, "--n-energy", 12, "--pixel-scale", 1, "--center", "350.866 58.815", "--size", 33, 28]
    assert run("bin", "events.fits", "-o", "cube.fits", *grid, "--quiet") == 0
    mean = truth.model_cube().data
    assert EventCube.read("cube.fits").data.shape == mean.shape
    assert abs(EventCube.read("cube.fits").data.sum() - mean.sum()) < 4 * np.sqrt(mean.sum())


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        (["--counts", 2e4], {"counts": 2e4}),
        (["--flux", 1e-3], {"flux": 1e-3}),
        (["--flux", "soft=1e-3", "hard=0"], {"flux": {"soft": 1e-3, "hard": 0.0}}),
        (["--size", "0.5arcmin"], {"size": 30 * u.arcsec}),
        (["--psf", "psf.fits"], {"psf": "psf.fits"}),
        (["--exposure-map", "map.fits"], {"exposure_map": "map.fits"}),
    ],
)
def test_simulate_with_settings(files, here, option, setting):
    fits.writeto("psf.fits", np.array([[0.0, 0, 0], [0, 3, 1], [0, 0, 0]]))
    fits.writeto("map.fits", np.arange(31.0 * 31).reshape(31, 31) / 961)
    settings = {"size": 30.5 * u.arcsec, "pixel_scale": 1 * u.arcsec, "counts": None if "flux" in setting else 1e3}
    common = ["--size", 30.5, "--pixel-scale", 1, "--quiet", *([] if "flux" in setting else ["--counts", 1e3])]
    assert run("simulate", files / "components.toml", "-o", "events.fits", *common, *option) == 0
    expected, _ = simulate_from_file(files / "components.toml", **settings | setting)
    with fits.open("events.fits") as hdulist:
        np.testing.assert_array_equal(hdulist["EVENTS"].data, expected["EVENTS"].data)


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
    assert re.fullmatch(r"the spectra took \d+ rounds, converged: (True|False)\n", err)


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


@pytest.mark.filterwarnings("ignore::astro_lpalm.trust.diagnostics.SeparationWarning")  # a model of little training
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


def test_plot_of_a_model(here):
    model = load_model("snr-acis")
    model.write("model.fits")
    assert run("plot", "model.fits", "-o", "history.png", "--quiet") == 0
    assert (here / "history.png").read_bytes().startswith(b"\x89PNG")


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
    assert "instrument: acis-s (Chandra ACIS), approximate response\n" in out
    assert re.search(r"^all +nh +0.5 +2 1e\+22 / cm2", out, re.MULTILINE)
    assert re.search(r"^thermal +kT +0.8 +3 keV", out, re.MULTILINE)
    assert re.search(r"median NMSE .* sources \d\.\d\de-\d\d, spectra", out)


def test_info_says_the_epoch_and_names_that_there_are(files, here, capsys):
    assert run("info", "snr-nei-acis") == 0
    assert "instrument: acis-s (Chandra ACIS), approximate response, epoch 2004" in capsys.readouterr().out
    for command in (["info", "snr-asic"], ["bin", files / "events.fits", "-o", "c.fits", "--like", "snr-asic"]):
        assert run(*command) == 1
        assert "'snr-asic' is neither a file nor a packaged model; the packaged ones are: pwn-acis" in (
            capsys.readouterr().err
        )


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


@pytest.mark.filterwarnings("ignore::astro_lpalm.trust.diagnostics.SeparationWarning")  # a model of little training
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
    assert all(re.search(rf"^ +{command}\s+\S", out, flags=re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("demo", "--output --overwrite --seed --device"),
        ("bin", "--output --overwrite --energy --n-energy --energy-edges --bin-factor --pixel-scale --bounds --center "
                "--size --region"),
        ("simulate", "--output --overwrite --truth --exposure --center --pixel-scale --size --counts --flux --psf "
                     "--exposure-map --background --correlation --seed"),
        ("train", "--output --overwrite --n-samples --n-pixels --snr-db --n-layers --epochs --batch-size "
                  "--learning-rate --checkpoint --seed --device"),
        ("separate", "--output --overwrite --transform --exposure --no-refine --device"),
        ("plot", "--output --overwrite"),
        ("spectra", "--output --overwrite --arf --rmf --region --table"),
        ("info", ""),
        ("reproduce", "--data --output --quick --samples --seed"),
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
    ("command", "defaults"),
    [
        ("bin", "0.5 7, 65, 1"),
        ("simulate", "50, 0 0, 0.984, 240, 1e6, none, flat, 1, 0"),
        ("train", "2000, 500, 10 40, 25, 60, 8, 3e-3, 0, cpu"),
    ],
)
def test_help_states_the_defaults(command, defaults, capsys):
    with pytest.raises(SystemExit):
        run(command, "--help")
    out = " ".join(capsys.readouterr().out.split())
    for default in defaults.split(", "):
        assert re.search(rf"default: (the file's, or )?{re.escape(default)}\)", out), default


def test_defaults_are_those_of_the_functions():
    # The help says them in words of its own.
    defaults = {name: each.default for name, each in inspect.signature(train).parameters.items()}
    assert [defaults[name] for name in ("n_layers", "epochs", "batch_size", "learning_rate")] == [25, 60, 8, 3e-3]


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
        ("simulate", "required: components, -o/--output"),
        ("simulate c.toml -o e.fits --exposure 20arcsec", "'20arcsec' is not a number of ks"),
        ("simulate c.toml -o e.fits --counts many", "'many' is not a number, nor a component's as in 'thermal=2e5'"),
        ("simulate c.toml -o e.fits --flux soft=", "'soft=' is not a number, nor a component's"),
        ("simulate c.toml -o e.fits --background low", "invalid float value: 'low'"),
        ("train c.toml -o m.fits --epochs many", "invalid int value: 'many'"),
        ("separate cube.fits -o c.fits", "required: model"),
        ("spectra components.fits", "required: -o/--output"),
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


@pytest.mark.parametrize("option", [[], ["--quiet"]])
def test_logging_is_left_as_it_was(files, here, option):
    root, own = logging.getLogger(), logging.getLogger("astro_lpalm")
    before = list(root.handlers), root.level, list(own.handlers), own.level
    run("bin", files / "events.fits", "-o", "cube.fits", "--bin-factor", 2, *option)
    run("info", "missing.fits", *option)
    assert (list(root.handlers), root.level, list(own.handlers), own.level) == before


@pytest.mark.filterwarnings("ignore:.*was the list filtered in energy")
def test_energies_of_channels_that_are_given(tmp_path):
    edges = np.linspace(0, 10.24, 1025)
    save(make_rmf(np.eye(5, 1024), channel_edges=edges, first=0), tmp_path / "a.rmf")
    listed("xrt", instrument_in="nowhere").writeto(tmp_path / "evt.fits")
    cubes = []
    for number, given in enumerate((["--ebounds", tmp_path / "a.rmf"], ["--channel-energy", "10 eV"],
                                    ["--channel-energy", "0", "0.01"])):  # fmt: skip
        output = tmp_path / f"{number}.fits"
        assert main(["bin", str(tmp_path / "evt.fits"), *map(str, given), "--output", str(output), "--quiet"]) == 0
        cubes.append(EventCube.read(output))
    assert [cube.data.sum() for cube in cubes] == [1500] * 3
    assert [int(cube.data.sum(axis=(1, 2)).argmax()) for cube in cubes] == [17] * 3  # 2.2 to 2.3 keV
