import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from astro_lpalm import EventCube
from astro_lpalm.missions import approximate_response
from astro_lpalm.results import Separation
from astro_lpalm.simulate import simulate_from_file
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary, integrate

from .statistics import check_poisson

COMPONENTS = """
[energy]
range = [0.5, 7.0]
n_bins = 26
[response]
instrument = "acis-s"
[absorption]
nh = [0.2, 0.4]
[[components]]
name = "soft"
model = "Synchrotron"
[components.parameters]
photon_index = [3.0, 3.5]
[components.source]
fraction = 0.5
shape = 0.5
[[components]]
name = "line"
model = "EmissionLine"
[components.parameters]
energy = [3.0, 3.2]
[components.source]
fraction = 0.5
shape = 0.5
"""
SIMULATION = """
[simulation]
exposure = 20.0
center = "23:23:27.84 +58:48:54"
pixel_scale = 2.0
size = [62, 44]
[simulation.counts]
soft = 3e4
line = 2e4
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A directory with a components file, images and other things that it may name; another is the current one."""
    folder = tmp_path / "components"
    folder.mkdir()
    y, x = np.indices((22, 31))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [350.8, 58.9]
    wcs.wcs.crpix, wcs.wcs.cdelt = [16.0, 11.5], [-1 / 1800, 1 / 1800]
    for name, image in (("soft", np.exp(-((x - 9) ** 2 + (y - 12) ** 2) / 30)), ("line", 3.0 * (x > 20) * (y > 8))):
        fits.writeto(folder / f"{name}.fits", image, wcs.to_header())
    fits.writeto(folder / "ramp.fits", (x + 1.0) / 31 * 20_000, fits.Header({"BUNIT": "s"}))
    fits.writeto(folder / "psf.fits", np.array([[0.0, 0, 0], [0, 3, 1], [0, 0, 0]]))
    fits.writeto(folder / "negative.fits", -image)
    fits.writeto(folder / "small.fits", np.ones((4, 4)))
    fits.writeto(folder / "cube.fits", np.ones((2, 4, 4)))
    turned = wcs.deepcopy()
    turned.wcs.pc = [[0.8, -0.6], [0.6, 0.8]]
    fits.writeto(folder / "turned.fits", image, turned.to_header())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


@pytest.fixture
def write(folder):
    def function(simulation=SIMULATION, soft='image = "soft.fits"', line='image = "line.fits"'):
        text = COMPONENTS
        for name, source in (("Synchrotron", soft), ("EmissionLine", line)):
            head, tail = text.split(f'"{name}"')
            text = head + f'"{name}"' + tail.replace("shape = 0.5\n", f"shape = 0.5\n{source}\n", 1)
        (folder / "components.toml").write_text(text + simulation)
        return folder / "components.toml"

    return function


def bin_again(events, truth):
    (ny, nx), scale = truth.cube.data.shape[1:], truth.cube.wcs.proj_plane_pixel_scales()[1]
    center = truth.cube.wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
    return EventCube.from_events(
        events, energy_edges=truth.cube.energy_edges, pixel_scale=scale, center=center, size=(nx, ny) * scale
    )


OPTIONS = {
    "plain": "",
    "psf": "psf = 3.0",
    "kernel": 'psf = "psf.fits"',
    "exposure map": 'exposure_map = "ramp.fits"',
    "background": "background = 0.5",
    "all": 'psf = 3.0\nexposure_map = "ramp.fits"\nbackground = { rate = 0.5, image = "line.fits" }',
}


def test_the_image_of_a_psf_has_the_pixels_that_its_header_tells(write, tmp_path):
    image = np.zeros((9, 9))
    image[4, 8] = 1  # four pixels to the right, of 0.5 arcsec each: one of the images'
    cards = {"CTYPE1": "X", "CTYPE2": "Y", "CDELT1": 0.5, "CDELT2": 0.5, "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
    fits.writeto(tmp_path / "fine.fits", image, fits.Header(cards))
    with pytest.warns(AstropyUserWarning, match="brightest 4, 0 pixels"):
        shifts = [
            simulate_from_file(write(), seed=3, psf=psf)[1].images["line"].data
            for psf in (tmp_path / "fine.fits", 1e-3 * u.arcsec)
        ]
    np.testing.assert_allclose(shifts[0][:, 1:], shifts[1][:, :-1], atol=1e-3 * shifts[1].max())
    cards["CDELT2"] = 0.4
    fits.writeto(tmp_path / "oblong.fits", image, fits.Header(cards))
    with pytest.raises(ValueError, match="simulation.psf: pixels of the psf.s image are 0.5 x 0.4 arcsec"):
        simulate_from_file(write(), psf=tmp_path / "oblong.fits")


def test_the_file_of_a_psf_that_changes_with_energy(write, tmp_path):
    stack = np.zeros((2, 3, 3))
    stack[:, 1, [0, 2]] = np.eye(2)  # a pixel to the left at low energies, and to the right at high ones
    cards = {"CTYPE3": "ENERGY", "CUNIT3": "keV", "CRPIX3": 1, "CRVAL3": 0.01, "CDELT3": 0.01}
    fits.writeto(tmp_path / "stack.fits", stack, fits.Header(cards))
    fits.writeto(tmp_path / "right.fits", stack[1])
    changing, fixed = (
        simulate_from_file(write(), seed=3, psf=tmp_path / name)[1].images["line"].data
        for name in ("stack.fits", "right.fits")
    )
    np.testing.assert_allclose(changing, fixed)


@pytest.mark.parametrize("options", OPTIONS)
def test_events_are_those_of_the_truth(write, options):
    simulation = SIMULATION.replace("[simulation]", f"[simulation]\n{OPTIONS[options]}")
    events, truth = simulate_from_file(write(simulation), seed=3)
    check_poisson(bin_again(events, truth).data, truth.model_cube().data)
    assert truth.names == ("soft", "line", "background")[: 2 + ("background" in simulation)]
    assert events["EVENTS"].header["EXPOSURE"] == 20_000
    assert events["EVENTS"].header["OBJECT"] == "components"
    center = SkyCoord(events["EVENTS"].header["TCRVL3"], events["EVENTS"].header["TCRVL4"], unit="deg")
    assert center.separation(SkyCoord(350.866, 58.815, unit="deg")) < 1e-6 * u.arcsec


def test_counts_are_those_of_the_energy_range(write):
    _, truth = simulate_from_file(write(), seed=3)
    np.testing.assert_allclose(truth.diagnostics["counts"].value, [3e4, 2e4], rtol=1e-9)
    _, truth = simulate_from_file(write(), seed=3, counts=1000.0)
    image = {name: fits.getdata(write().parent / f"{name}.fits") for name in ("soft", "line")}
    ratio = image["soft"].sum() / image["line"].sum()
    np.testing.assert_allclose(truth.diagnostics["counts"].value, 1000 * np.array([ratio, 1]) / (1 + ratio))
    for name in ("soft", "line"):
        found = truth.images[name].data
        np.testing.assert_allclose(found / found.sum(), image[name] / image[name].sum(), atol=1e-12)


def test_there_are_events_beyond_the_energy_range_too(write):
    events, _ = simulate_from_file(write(), seed=3)
    energy = events["EVENTS"].data["energy"]
    assert 306 < energy.min() < 500
    assert 7000 < energy.max() < 9987
    np.testing.assert_array_equal(events["EVENTS"].data["pi"], energy.astype(float) // 14.6 + 1)


def test_spectra_are_those_of_the_library(write):
    events, truth = simulate_from_file(write(), seed=3)
    path = write()
    library = SpectralLibrary.from_file(path)
    # The same parameters as the library draws with this seed, in channels that do not nest with the bins.
    expected = library.draw(1, np.random.default_rng(3))[0]
    cosine = np.sum(expected * truth.mixing, axis=0)
    assert np.all(cosine > 0.998)
    assert np.all(cosine > np.sum(library.draw(1, np.random.default_rng(4))[0] * truth.mixing, axis=0))


def test_flux(write):
    simulation = SIMULATION.replace("counts", "flux").replace("3e4", "2e-3").replace("2e4", "5e-4")
    _, truth = simulate_from_file(write(simulation), seed=3)
    parameters = SpectralLibrary.from_file(write()).draw_parameters(1, np.random.default_rng(3))
    from astro_lpalm.spectra import EmissionLine, PhotoelectricAbsorption

    # All photons of the line are within the range, where the area is that at its energy.
    energy = parameters["line"]["energy"][0]
    response = approximate_response(np.linspace(0.5, 7, 100))
    photons = integrate(EmissionLine(energy=energy), response.energy_edges) * 5e-4
    counts = response.fold(photons).sum().value * 20_000
    assert truth.diagnostics["counts"][1].value == pytest.approx(counts, rel=2e-3)
    assert PhotoelectricAbsorption(nh=parameters["nh"][0])(energy * u.keV) > 0.9


def test_place_is_that_of_the_images_unless_told(write):
    simulation = "[simulation]\nexposure = 5.0\ncounts = 2e3\n"
    events, truth = simulate_from_file(write(simulation), seed=0)
    assert truth.cube.data.shape[1:] == (22, 31)
    own = WCS(fits.getheader(write().parent / "soft.fits"))
    for pixel in ((0, 0), (30, 21)):
        assert truth.cube.wcs.pixel_to_world(*pixel).separation(own.pixel_to_world(*pixel)) < 0.01 * u.arcsec
    _, truth = simulate_from_file(write(simulation), center=SkyCoord(10, 20, unit="deg"), pixel_scale=1 * u.arcsec)
    assert truth.cube.wcs.pixel_to_world(15, 10.5).separation(SkyCoord(10, 20, unit="deg")) < 1e-6 * u.arcsec
    assert truth.cube.wcs.proj_plane_pixel_scales()[0].to_value(u.arcsec) == pytest.approx(1)


def test_images_are_drawn_where_none_are_given(write):
    simulation = SIMULATION.replace("[simulation]", "[simulation]\ncorrelation = 0.5")
    _, drawn = simulate_from_file(write(simulation, soft="", line=""), seed=1)
    assert drawn.cube.data.shape[1:] == (22, 31)
    assert drawn.images["soft"].data.min() >= 0
    _, mixed = simulate_from_file(write(simulation, line=""), seed=1)
    assert not np.allclose(mixed.images["soft"].data, drawn.images["soft"].data)
    np.testing.assert_allclose(mixed.images["line"].data, drawn.images["line"].data)
    _, other = simulate_from_file(write(simulation, soft="", line=""), seed=2)
    assert not np.allclose(other.images["line"].data, drawn.images["line"].data)


def test_packaged_file_with_nothing_said():
    events, truth = simulate_from_file("snr-acis")
    assert truth.diagnostics["counts"].value.sum() == pytest.approx(1e6)
    assert truth.cube.data.shape == (65, 244, 244)
    check_poisson(bin_again(events, truth).data, truth.model_cube().data)


def test_same_seed_same_events_and_other_settings_same_sky(write):
    path = write(soft="", line="")
    events, truth = simulate_from_file(path, seed=5)
    again, _ = simulate_from_file(path, seed=5)
    np.testing.assert_array_equal(events["EVENTS"].data, again["EVENTS"].data)
    other, longer = simulate_from_file(
        path, seed=5, exposure=90 * u.ks, psf=2 * u.arcsec, counts={"soft": 100, "line": 3e4}
    )
    assert other["EVENTS"].header["EXPOSURE"] == 90_000
    np.testing.assert_allclose(longer.mixing, truth.mixing, rtol=1e-12)
    assert np.corrcoef(longer.images["line"].data.ravel(), truth.images["line"].data.ravel())[0, 1] > 0.5
    assert longer.diagnostics["counts"][0].value < 100


def test_names_of_files_are_relative_to_the_file_or_else_to_here(write, folder):
    path = write(SIMULATION.replace("[simulation]", '[simulation]\npsf = "psf.fits"'))
    _, truth = simulate_from_file(path, seed=3)
    _, same = simulate_from_file(write(), seed=3, psf="../components/psf.fits")
    np.testing.assert_allclose(same.sources, truth.sources)
    with pytest.raises(FileNotFoundError, match="there is no file 'psf.fits'"):
        simulate_from_file(write(), psf="psf.fits")


def seen_by(write, response, **settings):
    path = write()
    path.write_text(path.read_text().replace('instrument = "acis-s"', response))
    return simulate_from_file(path, seed=3, **settings)[0]


@pytest.mark.parametrize(("name", "cards"), [("epic-pn", ("XMM", "EPN")), ("erosita", ("EROSITA", "MERGED"))])
def test_lists_say_of_which_instrument_they_are(write, name, cards):
    events = seen_by(write, f'instrument = "{name}"')
    header, table = events["EVENTS"].header, events["EVENTS"].data
    assert (header["TELESCOP"], header["INSTRUME"]) == (events["GTI"].header["TELESCOP"], cards[1]) == cards
    assert "DETNAM" not in header
    np.testing.assert_array_equal(table["pi"], np.floor(table["energy"]))  # both have channels of 1 eV
    assert (header["TLMIN6"], header["TLMAX6"]) == (0, {"epic-pn": 32767, "erosita": 99999}[name])
    cube = EventCube.from_events(events, n_energy=3)
    assert cube.wcs.proj_plane_pixel_scales()[0].to_value(u.arcsec) == pytest.approx(8 * 0.492)  # nearly 4
    assert "EPN" not in str(seen_by(write, 'instrument = "acis-i"')["EVENTS"].header["INSTRUME"])


@pytest.mark.parametrize("cards", [{"TELESCOP": "NUSTAR", "INSTRUME": "FPMA"}, {"TELESCOP": "LEM"}, {}], ids=str)
def test_lists_say_of_which_instrument_the_response_is(write, folder, cards):
    approximate_response(np.linspace(0.3, 9, 871)).write(folder / "a.arf", folder / "a.rmf")
    with fits.open(folder / "a.rmf", mode="update") as hdulist:
        for hdu in hdulist[1:]:
            del hdu.header["TELESCOP"], hdu.header["INSTRUME"]
            hdu.header.update(cards)
    events = seen_by(write, 'arf = "a.arf"\nrmf = "a.rmf"')
    header, table = events["EVENTS"].header, events["EVENTS"].data
    assert header["TELESCOP"] == cards.get("TELESCOP", "UNKNOWN")
    assert header["INSTRUME"] == cards.get("INSTRUME", "UNKNOWN")
    if header["TELESCOP"] == "NUSTAR":
        np.testing.assert_array_equal(table["pi"], np.clip((table["energy"] - 1600) // 40, 0, None))
    else:
        assert "PI: channels of 14.6 eV" in str(header["COMMENT"])
        np.testing.assert_array_equal(table["pi"], np.floor(table["energy"] / 14.6) + 1)


def test_real_response_and_background(write, shared_data):
    files = shared_data / "responses"
    simulation = SIMULATION.replace(
        "[simulation]", f'[simulation]\nbackground = {{ rate = 0.2, spectrum = "{files}/3c273_bg.pi" }}'
    )
    path = write(simulation)
    text = path.read_text()
    for old, new in (
        ('instrument = "acis-s"', f'arf = "{files}/3c273.arf"\nrmf = "{files}/3c273.rmf"'),
        ("n_bins = 26", "channels_per_bin = 10"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    events, truth = simulate_from_file(path, seed=3)
    check_poisson(bin_again(events, truth).data, truth.model_cube().data)
    header = events["EVENTS"].header
    assert (header["ANCRFILE"], header["RESPFILE"]) == ("3c273.arf", "3c273.rmf")
    # Bins are of whole channels here: the library's own folding into them agrees.
    library = SpectralLibrary.from_file(path)
    np.testing.assert_allclose(truth.mixing[:, :2], library.draw(1, np.random.default_rng(3))[0], atol=1e-6)
    simulate_from_file(write(simulation), seed=3)  # the same background, in the approximate response's channels


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("exposur = 3", "components.toml', simulation: unknown key 'exposur'; allowed are exposure, center"),
        ("exposure = -3", "components.toml', simulation.exposure: -3 is not a positive number of ks"),
        ('exposure = "long"', "simulation.exposure: 'long' is not a positive number of ks"),
        ("exposure = true", "simulation.exposure: True is not a positive number of ks"),
        ("pixel_scale = 0", "simulation.pixel_scale: 0 is not a positive number of arcsec"),
        ("size = [1, 2, 3]", r"simulation.size: \[1, 2, 3\] is not a positive number of arcsec, or two"),
        ("size = 100\npixel_scale = 2", r"simulation.size: it makes images of shape \(50, 50\), .*leave size out"),
        ('center = "pulsar"', "simulation.center: 'pulsar' is not a position; give"),
        ("center = 12.0", "simulation.center: 12.0 is not a position"),
        ("center = [12.0, 95.0]", r"simulation.center: \[12.0, 95.0\] is not a position"),
        ("counts = -1", "simulation.counts: -1 is not a number of counts, 0 or more"),
        ("counts = { soft = 1 }", "simulation.counts: 'line' is missing"),
        ("counts = { soft = 1, lin = 2 }", "simulation.counts: unknown key 'lin'; allowed are soft, line"),
        ("counts = { soft = 1, line = nan }", "simulation.counts.line: nan is not finite"),
        ("counts = 1\nflux = 1", "simulation: give either counts or flux, not both"),
        ('flux = "bright"', r"simulation.flux: 'bright' is not a number of photon / \(cm2 s\), 0 or more"),
        ("psf = -1", "simulation.psf: -1 is not a FWHM in arcsec, nor the name of a file"),
        ('psf = "missing.fits"', "there is no file '.*components/missing.fits'"),
        (
            'psf = "cube.fits"',
            "simulation.psf: .* 2 planes along axis 3 .*, of which the energy is not known",
        ),
        ('psf = "small.fits"', r"psf has shape \(4, 4\), which has no pixel in the middle"),
        ('exposure_map = "small.fits"', r"exposure_map has shape \(4, 4\), but the images have \(22, 31\)"),
        ("exposure_map = 1.0", "simulation.exposure_map: 1.0 is not the name of a file"),
        ('background = "flat"', "simulation.background.rate: 'flat' is not a number of counts per second"),
        ("background = { spectrum = 3 }", "simulation.background.rate: None is not a number of counts per second"),
        ("background = { rate = 1, colour = 3 }", "simulation.background: unknown key 'colour'; allowed are rate"),
        ("background = { rate = 1, spectrum = 3 }", "simulation.background.spectrum: 3 is not the name of a file"),
        ('background = { rate = 1, image = "small.fits" }', r"background's image has shape \(4, 4\)"),
    ],
)
def test_bad_simulation_tables(write, line, message):
    with pytest.raises((ValueError, OSError), match=message):
        simulate_from_file(write(f"[simulation]\n{line}\n"))


def test_simulation_that_is_no_table(write):
    path = write("")
    path.write_text("simulation = 3\n" + path.read_text())
    with pytest.raises(ValueError, match=r"simulation: 3 is no table; write \[simulation\]"):
        simulate_from_file(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('image = "negative.fits"', "component 'line', source.image: the image must be finite, not negative"),
        ('image = "small.fits"', r"component 'line', source.image: .*shape \(4, 4\), but that of 'soft' \(22, 31\)"),
        ('image = "missing.fits"', "there is no file '.*missing.fits'"),
        ("image = 3", "component 'line', source.image: 3 is not the name of a file"),
    ],
)
def test_bad_images(write, line, message):
    with pytest.raises((ValueError, OSError), match=message):
        simulate_from_file(write(line=line))


def test_rotated_images_need_a_place(write):
    simulation = "[simulation]\ncounts = 100\n"
    with pytest.raises(ValueError, match="the image's WCS is rotated, or its pixels are not square; give center and"):
        simulate_from_file(write(simulation, soft='image = "turned.fits"'))
    simulate_from_file(write(simulation + "center = [1, 2]\npixel_scale = 2\n", soft='image = "turned.fits"'))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exposur": 3}, "unknown setting 'exposur'; allowed are exposure, center"),
        ({"exposure": 3}, "exposure=3 must have a unit, such as 50.0 ks"),
        ({"size": 3 * u.keV}, "size=.* must have a unit, such as 240.0 arcsec"),
        ({"center": "here"}, "center must be a single astropy SkyCoord"),
        ({"counts": {"soft": 1}}, "simulation.counts: 'line' is missing"),
    ],
)
def test_bad_settings(write, settings, message):
    with pytest.raises(ValueError, match=message):
        simulate_from_file(write(), **settings)


@pytest.mark.parametrize("correlation", [2.0, -0.1, "half"])
def test_bad_correlation(write, correlation):
    with pytest.raises(ValueError, match=f"simulation.correlation: {correlation!r} is not a number from 0 to 1"):
        simulate_from_file(write(soft="", line=""), correlation=correlation)


def test_truth_has_the_drawn_parameters(write, tmp_path):
    path = write()
    _, truth = simulate_from_file(path, seed=3)
    truth.write(tmp_path / "truth.fits")
    table = Separation.read(tmp_path / "truth.fits").parameters
    names = [f"{row['component']} {row['parameter']} {row['unit']}".strip() for row in table]
    assert {"all nh 1e+22 / cm2", "soft photon_index", "line energy keV"} <= set(names)
    assert not (table["at_limit"] | table["undecided"]).any()
    assert (table["error_low"] == 0).all()
    # These parameters give these spectra.
    physics = ParametricSpectra.from_library(SpectralLibrary.from_file(path))
    values = {(row["component"].replace("all", ""), row["parameter"]): row["value"] for row in table}
    chosen = [values[each.component, each.name] for each in physics.parameters]
    assert all(each.low <= value <= each.high for each, value in zip(physics.parameters, chosen))
    expected = physics.spectra(physics.scaled(chosen))
    np.testing.assert_allclose(truth.mixing / truth.mixing.sum(axis=0), expected, atol=0.003)
