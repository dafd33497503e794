"""What an experiment is: rows, samples and a plot; and how its table comes about, continued where it was left."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table

from .._files import save_figure
from .._progress import Progress
from ..separation import align, nmse
from .samples import spread_indices

__all__ = ["Experiment", "Row", "format_table"]

_FAILED = 0.01
_WRITE_EVERY = 20.0  # seconds, so that little is lost where a sample takes long


def errors(found, sample):
    """NMSE of sources and spectra as they are, and of the spectra with the truth's order, signs and norms."""
    return {
        "nmse_s": nmse(found.sources, sample.S),
        "nmse_a": nmse(found.spectra, sample.A),
        "nmse_a_aligned": nmse(align(found, sample.A).spectra, sample.A),
        "n_iter": found.n_iter,
    }


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    name : str
    method : object
        With the methods that ``astro_lpalm/reproduce/methods.py`` describes.
    paper : dict
        The paper's figures, by the column of the table that they belong to.
    kind : {"paper", "ours", "oracle"}
        Whether the paper has it, and what it is there for.
    labels : dict
        Further columns. Rows of the same "line" are measured together, and the lines one after the other.
    first, n_samples : int
        The first sample of the sequence that counts, and how many are used by default, evenly spread from there.
    most : int, optional
        How many are used at most, whatever is asked for.
    quick : bool
        Whether it is part of a quick run.

    Examples
    --------
    >>> from astro_lpalm.reproduce import EXPERIMENTS
    >>> row = EXPERIMENTS["table1"].rows[0]
    >>> row.name, row.slug, row.paper
    ('PALM', 'palm', {'nmse_s_median': 0.0176, 'n_iter_median': 2011.0})
    """

    name: str
    method: object
    paper: dict = field(default_factory=dict)
    kind: str = "paper"
    labels: dict = field(default_factory=dict)
    first: int = 0
    n_samples: int = 150
    most: int | None = None
    quick: bool = True

    @property
    def slug(self):
        """Its name as that of a file."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper.

    Attributes
    ----------
    name, title : str
    figure : str
        The figure of merit that the paper has.
    samples : callable
        Takes a workspace, returns the sequence of samples that rows are measured on.
    rows : tuple of `Row`
        In the order of the paper.
    plot : callable
        Takes a figure, the experiment, the table and a dictionary with a table of samples for each row.
    measure : callable
        Takes a factorization and a sample, returns figures: numbers, or arrays such as a number for each layer.

    Examples
    --------
    >>> from astro_lpalm.reproduce import EXPERIMENTS
    >>> experiment = EXPERIMENTS["table1"]
    >>> experiment.title, experiment.figure
    ('Table 1: sources of section 3.1', 'nmse_s')
    >>> [row.name for row in experiment.rows if row.kind == "paper"]
    ['PALM', "PALM, the paper's threshold", 'LPALM']
    """

    name: str
    title: str
    figure: str
    samples: Callable
    rows: tuple
    plot: Callable
    measure: Callable = errors

    def compute(self, workspace, names=None):
        """Compute the table, but for what is there already.

        Parameters
        ----------
        workspace : `Workspace`
        names : sequence of str, optional
            Which rows; by default all.

        Returns
        -------
        table : `~astropy.table.Table`
            A row for each method. ``meta`` says how it was made.
        samples : dict of str to `~astropy.table.Table`
            For each row, its figures on each sample.

        Raises
        ------
        ValueError
            If there is no such row, or the directory holds results of other settings.
        """
        unknown = set(names or ()) - {row.name for row in self.rows}
        if unknown:
            msg = f"{self.name} has no row {min(unknown)!r}; its rows are: {'; '.join(row.name for row in self.rows)}."
            raise ValueError(msg)
        rows = [row for row in self.rows if names is None or row.name in names]
        if workspace.quick:
            rows = [row for row in rows if row.quick]
        parts = [_Part(self, row, workspace) for row in rows]
        for line in dict.fromkeys(row.labels.get("line") for row in rows):
            self._measure([part for part in parts if part.row.labels.get("line") == line], workspace.progress)
        return self._summary(workspace, parts), {part.row.name: part.table for part in parts}

    def _measure(self, parts, progress):
        for part in parts:
            part.prepare()
        # sample by sample, as making one can take long
        missing = sorted(set().union(*(part.missing for part in parts)))
        meter = Progress(len(missing), self.name, show=progress)
        for index in missing:
            for part in parts:
                if index in part.missing:
                    part.measure(index)
            meter.step("samples")
        for part in parts:
            part.write()

    def run(self, workspace):
        """Compute the table, and write it and its plot to the workspace's directory.

        Returns
        -------
        `~astropy.table.Table`

        Raises
        ------
        OSError
            If the data cannot be read, or a file cannot be written.
        ValueError
            If the directory holds results of other settings, or files of others.
        """
        from matplotlib.figure import Figure  # matplotlib only where something is drawn

        identity = workspace.identity | {"experiment": self.name}  # before any file is made: the data may be missing
        path = workspace.table_path(self.name)
        workspace.read_table(path, identity)  # an error now, not when all is computed
        table, samples = self.compute(workspace)
        figure = Figure(figsize=(7.5, 4.6), layout="constrained")
        self.plot(figure, self, table, samples)
        figure.suptitle(table.meta["title"].replace(" (", "\n("), fontsize="medium", fontweight="bold")
        workspace.write_table(table, path, identity)
        save_figure(figure, path.with_suffix(".png"), overwrite=True)
        return table

    def _summary(self, workspace, parts):
        rows = [part.summary(self.figure) for part in parts]
        names = list(dict.fromkeys(name for row in rows for name in row))
        # where only some rows have a column
        empty = {name: "" if any(isinstance(row.get(name), str) for row in rows) else np.nan for name in names}
        table = Table({name: [row.get(name, empty[name]) for row in rows] for name in names})
        title = self.title + (" (quick: few epochs and samples)" if workspace.quick else "")
        oracle = [row[f"{self.figure}_median"] for row in rows if row["kind"] == "oracle"]
        table.meta = {"title": title, "figure": self.figure, "quick": workspace.quick, "seed": workspace.seed}
        table.meta["oracle"] = min((value for value in oracle if value > 0), default=np.nan)
        table.meta["total_seconds"] = float(np.nansum([row["total_seconds"] for row in rows]))
        return table


class _Part:
    """A row on its way: its figures on the samples that were measured, and what is missing."""

    def __init__(self, experiment, row, workspace):
        self.experiment, self.row, self.workspace = experiment, row, workspace
        self.sequence = workspace.samples(experiment.samples)
        there = len(self.sequence) - row.first
        n_samples = workspace.n_samples(min(there, row.most or there), row.n_samples)
        self.indices = [row.first + int(index) for index in spread_indices(there, n_samples)]
        self.identity = {"row": row.name, "samples": n_samples} | row.method.settings(workspace)
        self.path = workspace.table_path(experiment.name, row.slug)
        self.table = workspace.read_table(self.path, self.identity)
        self.figures = [] if self.table is None else [dict(zip(self.table.colnames, r)) for r in self.table.iterrows()]
        self.notes = {} if self.table is None else dict(self.table.meta)
        self.missing = set(self.indices) - {int(row["index"]) for row in self.figures}
        self.separate, self.written = None, time.monotonic()

    def prepare(self):
        if self.missing:
            self.separate, self.notes = self.row.method.prepare(self.workspace)

    def measure(self, index):
        sample = self.sequence[index]
        start = time.monotonic()
        found = self.separate(sample)
        seconds = time.monotonic() - start + sample.seconds
        figures = {"index": index} | self.experiment.measure(found, sample) | {"seconds": seconds}
        self.figures.append(figures)
        self.missing.remove(index)
        if time.monotonic() - self.written > _WRITE_EVERY:
            self.write()

    def write(self):
        if self.separate is None:
            return
        self.table = Table(rows=sorted(self.figures, key=lambda row: row["index"]), meta=self.notes)
        self.workspace.write_table(self.table, self.path, self.identity)
        self.written = time.monotonic()

    def summary(self, figure):
        """Sum up the figures of all samples."""
        row = {"method": self.row.name, "kind": self.row.kind} | self.row.labels
        row |= {f"paper_{name}": value for name, value in self.row.paper.items()}
        for name in self.table.colnames:
            values = np.asarray(self.table[name], dtype=float)
            if name == "index":
                continue
            if name == "seconds":
                row["samples"], row["seconds"] = len(values), float(np.median(values))
                row["total_seconds"] = float(values.sum()) + self.notes.get("training_seconds", 0.0)
                continue
            row[f"{name}_median"] = np.median(values, axis=0)
            if values.ndim == 1 and name != "n_iter":
                row[f"{name}_mean"] = float(values.mean())
            if name == figure:
                row |= {f"{name}_best": values.min(), f"{name}_worst": values.max(), f"{name}_std": values.std()}
            if name == "nmse_a":
                row["failures"] = int(np.sum(values > _FAILED))
        return row | self.notes


def format_table(table):
    """Write what a table of an experiment says as lines of text.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As `Experiment.run` returns it.

    Returns
    -------
    str
        Its title, its main columns with three digits a number, and what holds for all rows.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astro_lpalm.reproduce import format_table
    >>> meta = {"title": "Two methods", "figure": "nmse_a", "seed": 0, "oracle": 1e-4}
    >>> meta |= {"total_seconds": 60, "quick": False}
    >>> print(format_table(Table({"method": ["PALM", "LPALM"], "nmse_a_median": [0.0176, 0.00085]}, meta=meta)))
    Two methods
    method nmse_a_median
    ------ -------------
      PALM        0.0176
     LPALM       0.00085
    Seed 0; least squares with the truth reaches 0.0001; 60 s in all, trainings included. Seconds are those of a sample.
    """
    figure = table.meta["figure"]
    main = [f"{figure}_{name}" for name in ("median", "mean", "best", "worst", "std")]
    other = [f"{name}_median" for name in ("nmse_s", "nmse_a", "nmse_image", "n_iter") if name != figure]
    wanted = ["method", "threshold", *(f"paper_{name}" for name in main), *main, *other, "validation_nmse_s"]
    wanted += ["samples", "seconds", "training_seconds"]
    shown = table[[name for name in wanted if name in table.colnames]]
    for column in shown.itercols():
        if column.dtype.kind == "f":
            column.info.format = ".3g"
    lines = [table.meta["title"], *shown.pformat(max_lines=-1, max_width=-1)]
    lines.append(
        f"Seed {table.meta['seed']}; least squares with the truth reaches {table.meta['oracle']:.3g}; "
        f"{table.meta['total_seconds']:.0f} s in all, trainings included. Seconds are those of a sample."
    )
    if table.meta["quick"]:
        lines.append("A quick run, of few epochs and samples: its figures are not those of the method.")
    return "\n".join(lines)
