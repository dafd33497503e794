"""The settings of a separation, and its steps, of one observation or of several together."""

from .joint import find_jointly
from .observation import JointSolution, Observation, joint_errors
from .separator import Separator, Solution

__all__ = ["JointSolution", "Observation", "Separator", "Solution", "find_jointly", "joint_errors"]
