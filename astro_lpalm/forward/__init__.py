"""The forward model, what counts an observation is expected to have; background, and least squares of such counts."""

from .amplitude import background_amplitude
from .background import ExpectedBackground
from .blocks import count_blocks
from .counts import BackgroundCounts, block_sums
from .fit import Fit
from .least_squares import demixing_matrix, expected_counts, floored, least_squares, weighted_inverse
from .local import LocalSpectra
from .matrices import check_data
from .model import ForwardModel, Tile
from .operators import Blur, Composition, Expose, Identity, Mix, Operator, Redistribute, Sum

__all__ = [
    "BackgroundCounts",
    "Blur",
    "Composition",
    "ExpectedBackground",
    "Expose",
    "Fit",
    "ForwardModel",
    "Identity",
    "LocalSpectra",
    "Mix",
    "Operator",
    "Redistribute",
    "Sum",
    "Tile",
    "background_amplitude",
    "block_sums",
    "check_data",
    "count_blocks",
    "demixing_matrix",
    "expected_counts",
    "floored",
    "least_squares",
    "weighted_inverse",
]
