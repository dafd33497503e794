"""The experiments of the paper by their names."""

from . import fig2, fig8, fig10, fixed, init, partial, table1, table2, table3, table4

__all__ = ["EXPERIMENTS"]

_MODULES = (table1, table2, table3, table4, init, fig2, fig8, fixed, fig10, partial)

#: The experiments, `~astro_lpalm.reproduce.Experiment` by name, in the order in which ``all`` runs them.
EXPERIMENTS = {module.EXPERIMENT.name: module.EXPERIMENT for module in _MODULES}
