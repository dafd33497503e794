import astropy.units as u
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array

from astro_lpalm.forward import Blur, Expose, ForwardModel, Identity, Mix, Redistribute, Sum
from astro_lpalm.instrument import PSF, BlurTerm, Response

KEPT = np.ones((9, 11), dtype=bool)
KEPT[2, 3:6] = KEPT[7] = False
T = np.count_nonzero(KEPT)
RNG = np.random.default_rng(0)
LOPSIDED = RNG.random((5, 3))  # an image of a point source that is its own mirror image would hide a wrong adjoint
PIXEL = 1 * u.arcsec
GAUSSIAN, IMAGE = PSF(2 * u.arcsec).on_pixels(PIXEL), PSF(LOPSIDED).on_pixels(PIXEL)
FINER, COARSER = (PSF(LOPSIDED, scale * u.arcsec).on_pixels(PIXEL) for scale in (0.4, 1.7))
RESPONSE = Response(csr_array(RNG.random((4, 6))), np.arange(5) + 1.0, np.arange(7) + 1.0)

# Each with the number of rows that it takes.
OPERATORS = {
    "nothing": (Identity(), 3),
    "sum": (Sum(Blur(IMAGE, KEPT), Expose(RNG.random(T)), Blur(GAUSSIAN, KEPT) @ Expose(RNG.random(T))), 3),
    "mix": (Mix(RNG.random((6, 3))), 3),
    "redistribute": (Redistribute(RESPONSE), 4),
    "redistribute by an array": (Redistribute(RNG.random((4, 6))), 4),
    "expose": (Expose(RNG.random(T)), 3),
    "gaussian blur": (Blur(GAUSSIAN, KEPT), 3),
    "blur by an image": (Blur(IMAGE, KEPT), 3),
    "blur by an image of finer pixels": (Blur(FINER, KEPT), 3),
    "blur by an image of coarser pixels": (Blur(COARSER, KEPT), 3),
    "blur and expose": (Expose(RNG.random(T)) @ Blur(IMAGE, KEPT), 3),
    "all of them": (
        Redistribute(RESPONSE) @ Mix(RNG.random((4, 2))) @ Expose(RNG.random(T)) @ Blur(IMAGE, KEPT),
        2,
    ),
}


@pytest.mark.parametrize(("operator", "rows"), OPERATORS.values(), ids=OPERATORS)
def test_adjoint(operator, rows):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, T))
    image = operator.forward(x)
    y = rng.normal(size=image.shape)
    back = operator.adjoint(y)
    assert back.shape == x.shape
    assert_allclose(np.vdot(image, y), np.vdot(x, back), rtol=1e-12)


@pytest.mark.parametrize(("operator", "rows"), OPERATORS.values(), ids=OPERATORS)
def test_linear(operator, rows):
    rng = np.random.default_rng(2)
    x, z = rng.normal(size=(2, rows, T))
    assert_allclose(operator.forward(2 * x - z), 2 * operator.forward(x) - operator.forward(z), atol=1e-12)


def test_mix_takes_stacks():
    rng = np.random.default_rng(4)
    A, S, Y = rng.random((5, 6, 3)), rng.random((5, 3, 8)), rng.random((5, 6, 8))
    for a, s, y, mixed, back in zip(A, S, Y, Mix(A).forward(S), Mix(A).adjoint(Y)):
        assert_allclose(mixed, Mix(a).forward(s))
        assert_allclose(back, Mix(a).adjoint(y))


def test_a_point_becomes_the_point_spread_function():
    x = np.zeros((9, 11))
    x[4, 5] = 1
    kept = np.ones_like(x, dtype=bool)
    blurred = Blur(IMAGE, kept).forward(x.reshape(1, -1)).reshape(9, 11)
    assert_allclose(blurred[2:7, 4:7], LOPSIDED / LOPSIDED.sum(), atol=1e-15)


def weights(*shape):
    """Two sets of weights, with sums of one."""
    first = np.random.default_rng(5).random(shape)
    return first, 1 - first


SOFT, HARD = weights(6)  # of the channels of the response; of four energies without it
INNER, OUTER = weights(*KEPT.shape)
BLURS = {
    "none": (),
    "gaussian": [(1.0, None, GAUSSIAN)],
    "image": [(1.0, None, IMAGE)],
    "energies": [(SOFT, None, GAUSSIAN), (HARD, None, IMAGE)],
    "places": [(1.0, INNER, GAUSSIAN), (1.0, OUTER, IMAGE)],
    "both": [(SOFT, INNER, FINER), (SOFT, OUTER, IMAGE), (HARD, INNER, GAUSSIAN), (HARD, OUTER, COARSER)],
}


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("exposure", [None, RNG.random(KEPT.shape)])
@pytest.mark.parametrize("response", [None, Redistribute(RESPONSE)])
def test_adjoints_of_the_whole_model(blur, exposure, response):
    m = 4 if response is None else 6
    terms = tuple(BlurTerm(np.full(6, e)[:m] if np.isscalar(e) else e[:m], w, blur) for e, w, blur in BLURS[blur])
    model = ForwardModel(KEPT, exposure, terms, response)
    assert len(model.sky) == (2 if blur in ("energies", "both") else 1)
    rng = np.random.default_rng(3)
    A, S = rng.random((4, 2)), rng.random((2, T))
    expected = model.expected(A, S)
    Y = rng.normal(size=expected.shape)
    assert_allclose(np.vdot(model.adjoint(A, Y), S), np.vdot(Y, expected), rtol=1e-12)
    assert_allclose(np.vdot(model.adjoint_spectra(S, Y), A), np.vdot(Y, expected), rtol=1e-12)
    by_hand = np.zeros((m, T))
    for term in terms or [BlurTerm(np.ones(m), None, None)]:
        places = np.ones(KEPT.shape) if term.places is None else term.places
        images = S * places[KEPT]
        images = images if term.kernel is None else Blur(term.kernel, KEPT).forward(images)
        by_hand += (term.energies[:, np.newaxis] * model.spectra(A)) @ images
    assert_allclose(expected, by_hand * (1 if exposure is None else exposure[KEPT]), rtol=1e-12, atol=1e-12)
