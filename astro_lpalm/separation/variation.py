"""Which physical parameters differ from place to place: evidence for random effects in blocks of pixels."""

import numpy as np

from .blocks import Blocks

__all__ = ["varying_parameters"]

_WIDTHS = np.geomspace(0.01, 0.5, 12)  # standard deviations that are tried, in parts of a range
_LEAST_GAIN = 8.0  # of the logarithm of the evidence, for a parameter to vary
_AS_GOOD = 0.9  # of the largest gain


def varying_parameters(counts, model, theta, candidates=None, *, known=(), background=None, local=None, most=3):
    r"""Find the parameters that differ between blocks of pixels.

    In each block parameters deviate from the common ones by a normal distribution, of a width that all blocks share,
    and the sources are free. To second order about the common parameters the evidence is known in closed form: with
    the gradient :math:`g_b` and the Fisher matrix :math:`F_b` of a block, sources taken out, and
    :math:`T = \mathrm{diag}(\tau^2)`, its logarithm is

    .. math:: \sum_b \tfrac12 g_b^T (F_b + T^{-1})^{-1} g_b - \tfrac12 \log\det(1 + F_b T).

    One parameter is let vary, that of the largest gain; of those of its component that gain nearly as much, as they do
    much the same to the spectrum, the one that the model names first. Others follow when there is a map of this one:
    until then, also those of other components would stand for how it is not linear.

    Parameters
    ----------
    counts : array_like, shape (m, b)
        Summed over each block.
    model : object
        See `fit_parameters`.
    theta : array_like, shape (p,)
        Scaled parameters of the whole field.
    candidates : sequence of sequence of int, optional
        For each component, its parameters that may vary; by default those that have the component's name.
    known : collection of int
        Parameters that vary already.
    background : array_like, shape (m, b), optional
    local : array_like, shape (b, m, n), optional
        See `fit_parameters`.
    most : int
        Largest number of parameters of one component.

    Returns
    -------
    dict of int to float
        The standard deviation of the parameter that varies, in parts of its range; empty where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import varying_parameters
    >>> physics = load_model("pwn-acis").physics
    >>> theta = np.full((8, len(physics.parameters)), 0.5)
    >>> theta[:, 2] += 0.1 * np.array([1, -1, 1, -1, 1, -1, 1, -1])
    >>> counts = np.stack([spectra @ [3e4, 3e4] for spectra in physics.spectra(theta)], axis=1)
    >>> physics.parameters[2].name, [*varying_parameters(counts, physics, theta.mean(axis=0))]
    ('kT', [2])
    """
    theta, Y = np.asarray(theta, dtype=float), np.asarray(counts, dtype=float)
    background = np.zeros_like(Y) if background is None else np.broadcast_to(background, Y.shape)
    filled = Y.sum(axis=0) > 0
    blocks = Blocks(Y[:, filled], background[:, filled], model, local=None if local is None else local[filled])
    gradients, fisher = blocks.of_each(theta)
    if candidates is None:
        candidates = [
            [i for i, each in enumerate(model.parameters) if each.component == name] for name in model.component_names
        ]
    widths, best, found = {}, _LEAST_GAIN, {}
    for place in known:  # may yet have to change
        _, widths[place] = _best(gradients, fisher, widths, place)
    for places in candidates:
        gains, new = _gains(gradients, fisher, widths, places, known)
        if gains.max() < best or sum(place in known for place in places) >= most:
            continue
        # Parameters that do much the same to a spectrum can stand for each other: of these, the one named first.
        place, width = new[np.argmax(gains >= _AS_GOOD * gains.max())]
        best, found = gains.max(), {place: width}
    return found


def _gains(gradients, fisher, widths, places, known):
    """Find how much likelier variation of each parameter is, and the parameters with their widths."""
    before = _evidence(gradients, fisher, widths)
    gains, found = [0.0], [(None, 0.0)]
    for place in places:
        if place not in known:
            evidence, width = _best(gradients, fisher, widths, place)
            gains.append(evidence - before)
            found.append((place, width))
    return np.array(gains), found


def _best(gradients, fisher, others, place):
    """Find the largest evidence, and the width of a parameter, where others have theirs."""
    return max((_evidence(gradients, fisher, others | {place: float(width)}), float(width)) for width in _WIDTHS)


def _evidence(gradients, fisher, widths):
    if not widths:
        return 0.0
    places, scale = list(widths), np.array([*widths.values()])
    g = gradients[:, places] * scale
    M = np.eye(len(places)) + fisher[:, places][:, :, places] * np.outer(scale, scale)
    solved = np.linalg.solve(M, g[..., np.newaxis])[..., 0]
    return 0.5 * float(np.sum(g * solved) - np.linalg.slogdet(M)[1].sum())
