import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from astropy.io import fits

from astro_lpalm import separate
from astro_lpalm.data import __file__ as data_file
from astro_lpalm.model import Model, load_model, packaged_models
from astro_lpalm.separation import Factorization, IstaLLTUpdate, UnrolledPALM, refine
from astro_lpalm.spectra import SpectralLibrary, SpectralPrior

from . import toy

HISTORY = [
    {"epoch": 1, "validation_loss": 0.5, "nmse_s": 0.25, "note": "rise"},
    {"epoch": 2, "validation_loss": 0.1 + 0.2, "nmse_s": 1e-7, "note": "fall"},
]
DESCRIPTION = {"N_SAMPLE": 4000, "SNR_LOW": 10.0, "NOISE": "counts", "SEED": 0, "DONE": True}


@pytest.fixture
def model():
    return toy.model(history=HISTORY, description=DESCRIPTION)


@pytest.fixture
def written(model, tmp_path):
    path = tmp_path / "toy.fits"
    model.write(path)
    return path


def weights(model):
    return {name: value.numpy() for name, value in model.network.state_dict().items()}


def rewrite(path, change):
    """Change the HDUs of a model file and write it again with right checksums."""
    with fits.open(path) as hdulist:
        hdulist = fits.HDUList([hdu.copy() for hdu in hdulist])
    change(hdulist)
    hdulist.writeto(path, overwrite=True, checksum=True)


def test_file_gives_everything_back(model, written):
    back = Model.read(written)
    assert weights(back).keys() == weights(model).keys()
    for name, value in weights(model).items():
        np.testing.assert_array_equal(weights(back)[name], value, err_msg=name)
        assert weights(back)[name].dtype == value.dtype
    assert back.network.settings == model.network.settings
    assert back.component_names == model.component_names == ("soft", "hard")
    np.testing.assert_array_equal(back.energy_edges, model.energy_edges)
    assert back.energy_edges.unit == "keV"
    for name in ("mean", "principal", "spread", "remainder"):
        expected = getattr(toy.prior(), name).astype(np.float32)
        np.testing.assert_array_equal(getattr(model.prior, name), expected, err_msg=name)
        np.testing.assert_array_equal(getattr(back.prior, name), expected, err_msg=name)
    assert back.history == HISTORY
    assert back.description == DESCRIPTION
    assert back.name == "toy"
    assert back.checksum == model.checksum
    assert repr(back) == repr(model)


@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_model_that_was_read_separates_the_same(model, written, refine, dtype):
    X = toy.cube().matrix(dtype)
    expected, found = model.separate(X, refine=refine), Model.read(written).separate(X, refine=refine)
    assert found.spectra.dtype == dtype
    np.testing.assert_array_equal(found.spectra, expected.spectra)
    np.testing.assert_array_equal(found.sources, expected.sources)
    assert found.n_iter == expected.n_iter


@pytest.mark.parametrize(
    ("s_update", "a_update"), [("lista-cp", "explicit"), ("ista-llt", "ista-ll"), ("lista", "known")]
)
def test_every_kind_of_network(tmp_path, s_update, a_update):
    network = UnrolledPALM(s_update, a_update, 2).initialize(toy.spectra())
    model = Model(network, component_names=toy.NAMES)
    model.write(tmp_path / "model.fits")
    back = Model.read(tmp_path / "model.fits")
    assert back.network.settings == {"s_update": s_update, "a_update": a_update, "n_layers": 2}
    for name, value in weights(model).items():
        np.testing.assert_array_equal(weights(back)[name], value, err_msg=name)


class OwnNetwork:
    """A network that has learned two spectra by heart."""

    def separate(self, X):
        A = 0.9 * toy.spectra() + 0.02
        return Factorization(A, np.linalg.pinv(A) @ X)


class OwnUpdate(IstaLLTUpdate):
    pass


class OwnPALM(UnrolledPALM):
    pass


def test_own_network(tmp_path):
    model = Model(OwnNetwork(), component_names=toy.NAMES, energy_edges=toy.EDGES, prior=toy.prior(), name="mine")
    X = toy.cube().matrix()
    assert repr(model) == "<Model 'mine': soft, hard; 12 energies from 1 keV to 4 keV; OwnNetwork>"
    assert repr(Model(OwnNetwork(), component_names=toy.NAMES)) == "<Model 'unnamed': soft, hard; OwnNetwork>"
    plain, refined = (model.separate(X, refine=refine) for refine in (False, True))
    np.testing.assert_array_equal(plain.spectra, OwnNetwork().separate(X).spectra)
    np.testing.assert_array_equal(refined.spectra, refine(X, plain, toy.prior().astype(np.float32)).spectra)
    assert model.snr_db(X) is None
    assert model.checksum == ""
    with pytest.raises(ValueError, match=r"network, of class OwnNetwork, has no method to\(device\); leave the d"):
        model.separate(X, device="cpu")


def test_own_network_separates_a_cube(tmp_path):
    model = Model(OwnNetwork(), component_names=toy.NAMES, energy_edges=toy.EDGES, prior=toy.prior(), name="mine")
    result, expected = (separate(toy.cube(), each, n_resamplings=0) for each in (model, toy.model()))
    for name in toy.NAMES:
        off = result.images[name].data - expected.images[name].data
        assert np.all(np.abs(off) < 0.1 * expected.images[name].uncertainty.array)
    result.write(tmp_path / "result.fits")
    assert fits.getval(tmp_path / "result.fits", "MODEL") == "mine"


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        (OwnNetwork(), "OwnNetwork"),
        (OwnPALM(n_layers=2).initialize(toy.spectra()), "OwnPALM"),
        (UnrolledPALM(OwnUpdate, n_layers=2).initialize(toy.spectra()), "OwnUpdate"),
    ],
)
def test_own_classes_are_not_written(tmp_path, network, cause):
    model = Model(network, component_names=toy.NAMES)
    assert cause in repr(model)
    with pytest.raises(ValueError, match=f"'unnamed' cannot be written: .* not the class {cause}, which would have to"):
        model.write(tmp_path / "model.fits")
    assert not any(tmp_path.iterdir())


def test_network_must_separate():
    for network in (None, OwnNetwork):
        with pytest.raises(TypeError, match=r"network is .*, but must be an object with a method separate\(X\)"):
            Model(network, component_names=toy.NAMES)


def test_least_that_a_model_can_be(tmp_path):
    network = UnrolledPALM(n_layers=1).initialize(toy.spectra(1))
    Model(network, component_names=["only"]).write(tmp_path / "model.fits")
    back = Model.read(tmp_path / "model.fits")
    assert (back.energy_edges, back.prior, back.history, back.description) == (None, None, [], {})
    assert back.name == "unnamed"
    assert back.component_names == ("only",)
    assert back.separate(toy.cube().matrix()).sources.shape == (1, 28 * 33)


@pytest.mark.parametrize(("n", "rank"), [(1, 1), (1, 3), (3, 1)])
def test_library_of_any_size(tmp_path, n, rank):
    model = toy.model(n, prior=toy.prior(n, rank))
    model.write(tmp_path / "model.fits")
    back = Model.read(tmp_path / "model.fits").prior
    assert back.principal.shape == (n, rank, 12)
    for name, value in vars(model.prior).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)


def test_refinement_is_what_the_library_is_for(model):
    A, X = toy.spectra(), toy.cube().matrix()
    plain, refined = (model.separate(X, refine=refine) for refine in (False, True))
    error = [np.linalg.norm(found.spectra / np.linalg.norm(found.spectra, axis=0) - A) for found in (plain, refined)]
    assert error[1] < 0.2 * error[0]
    assert plain.n_iter == 3
    np.testing.assert_array_equal(refined.spectra, refine(X, plain, model.prior).spectra)
    assert not np.allclose(refined.spectra, refine(X, plain).spectra, rtol=1e-6)


def test_checksum_tells_weights_apart(model):
    assert re.fullmatch("[0-9a-f]{16}", model.checksum)
    assert toy.model(name="other", prior=None).checksum == model.checksum
    with torch.no_grad():
        model.network.theta[2, 1] += 1e-7
    assert model.checksum != toy.model().checksum


def test_separation_leaves_the_model_as_it_is(model):
    before = model.checksum
    model.separate(toy.cube().matrix(), device="cpu")
    assert model.checksum == before
    assert next(model.network.parameters()).dtype == torch.float32


def test_device_that_is_not_there(model):
    with pytest.raises(RuntimeError, match="nodevice"):
        model.separate(toy.cube().matrix(), device="nodevice")


def test_signal_to_noise_ratio_without_noise(model):
    one = np.zeros((12, 40))
    one[:, 3] = toy.spectra()[:, 0]
    assert model.snr_db(1e6 * one) <= 160  # no overflow either: warnings are errors


def test_too_few_counts_for_the_spectra(monkeypatch):
    model, X = load_model("snr-acis"), np.zeros((65, 400))
    X[[10, 20], [30, 333]] = 1
    monkeypatch.setattr("astro_lpalm.model.model.refine_spectra", refusing)
    with pytest.raises(ValueError, match="too little in the data to find 4 spectra"):
        model.separate(X)


def refusing(*_):
    raise np.linalg.LinAlgError


def test_data_of_other_energies(model):
    with pytest.raises(ValueError, match="X has 5 energies .* trained for 12"):
        model.separate(np.ones((5, 40)))


def test_existing_file_is_replaced_only_when_told(model, written):
    before = written.read_bytes()
    with pytest.raises(FileExistsError, match="toy.fits' exists already"):
        model.write(written)
    assert written.read_bytes() == before
    model.name = "newer"
    model.write(written, overwrite=True)
    assert Model.read(written).name == "newer"
    assert list(written.parent.iterdir()) == [written]


@pytest.mark.parametrize("name", ["", "x", 40 * "x", 60 * "x", 68 * "x", 200 * "x", "it's"])
def test_name_of_any_length(tmp_path, name):
    toy.model(name=name, description={"NOTE": 100 * "y"}).write(tmp_path / "model.fits")
    back = Model.read(tmp_path / "model.fits")
    assert back.name == name
    assert back.description == {"NOTE": 100 * "y"}


def test_nothing_is_left_of_a_model_that_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="ASCII"):
        toy.model(name="modèle").write(tmp_path / "model.fits")
    assert list(tmp_path.iterdir()) == []


def test_file_is_portable(written):
    with fits.open(written) as hdulist:
        assert hdulist[0].header["MODEL"] == "toy"
        assert hdulist[0].header["MODELSUM"] == toy.model().checksum
        assert hdulist[0].header["DATE"]
        assert hdulist[0].header["CREATOR"].startswith("astro_lpalm ")
        assert {"COMPONENTS", "EBOUNDS", "TRAINING"} <= {hdu.name for hdu in hdulist}
        assert hdulist["COMPONENTS"].data["PRINCIPAL"].shape == (2, 2, 12)
        n_weights = sum(hdu.data.size for hdu in hdulist if "WEIGHT" in hdu.header)
    assert n_weights == 3 * (12 * 2 + 1 + 2)


def test_compressed_model(model, tmp_path):
    model.write(tmp_path / "toy.fits.gz")
    assert (tmp_path / "toy.fits.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert Model.read(tmp_path / "toy.fits.gz").checksum == model.checksum


def test_another_version(written):
    def change(hdulist):
        hdulist[0].header["MODELVER"] = 2
        hdulist[0].header["CREATOR"] = "astro_lpalm 9.1"

    rewrite(written, change)
    message = r"version 2, but astro_lpalm .* reads version 1; use the .* wrote it \(astro_lpalm 9.1\), or train anew"
    with pytest.raises(ValueError, match=message):
        Model.read(written)


def test_version_that_is_not_told(written):
    rewrite(written, lambda hdulist: hdulist[0].header.remove("MODELVER"))
    with pytest.raises(ValueError, match="is a model of format version None"):
        Model.read(written)


@pytest.mark.parametrize("extension", ["COMPONENTS", "EBOUNDS", "TRAINING", "WEIGHT_THETA"])
def test_broken_checksum(written, extension):
    with fits.open(written) as hdulist:
        info = hdulist[extension].fileinfo()
        number = hdulist.index_of(extension)
    content = bytearray(written.read_bytes())
    content[info["datLoc"]] ^= 1
    written.write_bytes(content)
    with pytest.raises(OSError, match=rf"checksum of extension {number} \({extension}\) is missing or wrong"):
        Model.read(written)


def test_every_truncation_is_noticed(written):
    content = written.read_bytes()
    for size in np.linspace(0, len(content) - 1, 23).astype(int):
        written.write_bytes(content[:size])
        with pytest.raises((OSError, ValueError), match=r"toy\.fits"):
            Model.read(written)


@pytest.mark.parametrize("extension", ["COMPONENTS", "WEIGHT_THETA"])
def test_missing_extension(written, extension):
    rewrite(written, lambda hdulist: hdulist.pop(extension))
    with pytest.raises(ValueError, match="toy.fits' is not a complete model"):
        Model.read(written)


def test_other_fits_file(tmp_path):
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(np.ones((3, 3))).writeto(path, checksum=True)
    with pytest.raises(ValueError, match="is a FITS file but not a model; give a file that 'astro-lpalm train' wrote"):
        Model.read(path)


def test_cube_is_not_called_damaged(tmp_path):
    # A cube has no checksums; what is wrong with it is that it is no model.
    toy.cube().write(tmp_path / "cube.fits")
    with pytest.raises(ValueError, match="is a FITS file but not a model"):
        Model.read(tmp_path / "cube.fits")


def test_no_fits_file(tmp_path):
    (tmp_path / "model.fits").write_text("weights")
    with pytest.raises(OSError, match="cannot read .* as a FITS file"):
        Model.read(tmp_path / "model.fits")


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_load_by_path(written, kind):
    assert load_model(kind(written)).name == "toy"


def test_load_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "snr-acis").write_text("a file of that name does not get in the way")
    assert "snr-acis" in packaged_models()
    assert load_model("snr-acis").name == "snr-acis"


def test_file_called_like_a_packaged_model(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.write("snr-acis.fits")
    assert load_model("snr-acis.fits").name == "toy"
    assert load_model(tmp_path / "snr-acis.fits").name == "toy"
    assert load_model("snr-acis").name == "snr-acis"


@pytest.mark.parametrize("name", ["snr-acid", "missing/model.fits", "."])
def test_load_what_is_not_there(name):
    message = f"'{re.escape(name)}' is neither a file nor a packaged model; the packaged ones are: .*snr-acis"
    with pytest.raises(FileNotFoundError, match=message):
        load_model(name)


@pytest.mark.parametrize("name", packaged_models())
def test_packaged_model(name, tmp_path):
    path = data_file.replace("__init__.py", f"{name}.fits")
    model = load_model(name)
    with open(path, "rb") as file:
        assert len(file.read()) < 2_000_000
    assert model.network.settings == {"s_update": "lista-cp", "a_update": "ista-ll", "n_layers": 25}
    assert model.network.n_energies == len(model.energy_edges) - 1 >= 45
    assert len(model.component_names) == model.network.n_components == len(model.prior.mean)
    np.testing.assert_allclose(np.linalg.norm(model.prior.mean, axis=1), 1, atol=0.2)
    gram = model.prior.principal @ np.swapaxes(model.prior.principal, 1, 2)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(gram.shape[-1]), gram.shape), atol=1e-5)
    assert all(np.isfinite(value).all() for value in weights(model).values())
    assert min(row["nmse_s"] for row in model.history) < 4e-3  # of the network alone
    # Written by the present format: to write it again changes nothing but when and by whom.
    model.write(tmp_path / "again.fits")
    with fits.open(path) as old, fits.open(tmp_path / "again.fits") as new:
        ignored = ["DATE", "CREATOR", "CHECKSUM", "DATASUM"]
        difference = fits.FITSDiff(old, new, ignore_keywords=ignored, ignore_comments=["*"])
    assert difference.identical, difference.report()


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="needs fitsverify")
def test_files_are_clean_fits(written):
    paths = [written, *(data_file.replace("__init__.py", f"{name}.fits") for name in packaged_models())]
    found = subprocess.run(["fitsverify", "-e", *map(str, paths)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert found.stdout.count("0 warning(s) and 0 error(s)") or "verification OK" in found.stdout, found.stdout


def test_known_spectra_are_kept_in_single_precision(model):
    assert isinstance(model.prior, SpectralPrior)
    assert {getattr(model.prior, name).dtype for name in vars(model.prior)} == {np.dtype(np.float32)}


def test_repr_says_what_it_is(model):
    assert repr(model) == (
        "<Model 'toy': soft, hard; 12 energies from 1 keV to 4 keV; s_update='lista-cp', a_update='ista-ll', "
        "n_layers=3>"
    )


def test_network_for_known_spectra():
    rng = np.random.default_rng(0)
    A = np.abs(rng.normal(size=(6, 2)))
    A /= np.linalg.norm(A, axis=0)
    S = rng.laplace(size=(2, 80))
    model = Model(UnrolledPALM("lista-cp", "known", 5).initialize(A), component_names=["a", "b"])
    found = model.separate(A @ S, A)
    np.testing.assert_array_equal(found.spectra, A)
    with pytest.raises(ValueError, match="needs the spectra"):
        model.separate(A @ S)


def test_of_many_pixels_the_network_sees_some(monkeypatch):
    # All of them enter the refinement, which ends at the same spectra from either start.
    model = load_model("snr-acis")
    A = SpectralLibrary.from_file("snr-acis").draw(1, seed=1)[0]
    rng = np.random.default_rng(0)
    S = rng.laplace(size=(4, 6000)) * (rng.random((4, 6000)) < 0.2)
    X = A @ S + 0.01 * rng.standard_normal((len(A), 6000))
    every = model.separate(X)
    monkeypatch.setattr("astro_lpalm.model.model._ENOUGH_TO_START", 2000)
    some = model.separate(X)
    np.testing.assert_allclose(some.spectra, every.spectra, atol=1e-4)
    assert some.sources.shape == (4, 6000)
    assert model.separate(X, refine=False).sources.shape == (4, 6000)


@pytest.mark.parametrize("key", ["N_LAYER", "N_ENERGY"])
@pytest.mark.parametrize("value", [0, -1, 2**40, None])
def test_a_network_larger_than_its_weights(tmp_path, key, value):
    toy.model().write(tmp_path / "toy.fits")
    with fits.open(tmp_path / "toy.fits") as hdulist:
        hdulist[0].header[key] = value
        hdulist.writeto(tmp_path / "huge.fits", checksum=True)
    with pytest.raises(ValueError, match=rf"huge.fits' is not a complete model: .*{key}(?: is)? {value}"):
        load_model(tmp_path / "huge.fits")
