"""The settings of a separation, and its steps."""

from .separator import Separator, Solution

__all__ = ["Separator", "Solution"]
