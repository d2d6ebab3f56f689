"""What the runs of a study have learned about influence, as a mean over the seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from ilvf.reports.drawing import draw_matrix
from ilvf.reports.matrices_file import MATRICES, Matrices, read_matrices
from ilvf.reports.pictures import GRAPHS
from ilvf.studies.description import Study
from ilvf.studies.plan import PlannedRun

COLUMNS = 4
LEARNED = "influence Ŵ"  # shown where there are several matrices
KNOWN = "all influence that is possible"


@dataclass(frozen=True)
class Heatmap:
    """A matrix and what it is.

    Attributes:
        title: task, algorithm and matrix, on lines of their own.
        matrix: `[N, N]`, row = acting agent.
    """

    title: str
    matrix: np.ndarray


def heatmaps(study: Study, runs: Sequence[PlannedRun], folder: Path) -> list[Heatmap]:
    """The mean influence of every algorithm that has one, task by task; then what is possible.

    Args:
        runs: those that have finished; the ones without a folder here are left out.
        folder: of the study.
    """
    found = []
    for task in study.tasks:
        possible: Matrices = {}
        for algorithm in study.algorithms_of(task):
            of_seeds = []
            for run in runs:
                if (run.task, run.algorithm) == (task.title, algorithm.title):
                    of_seeds.append(read_matrices(folder / run.folder / MATRICES))
            of_seeds = [matrices for matrices in of_seeds if learned_in(matrices)]
            if of_seeds:
                name, matrix = mean_matrix(of_seeds)
                count = f"{len(of_seeds)} seed{'s' if len(of_seeds) > 1 else ''}"
                found.append(Heatmap(f"{task.title}\n{algorithm.title}\n{name}, {count}", matrix))
                possible |= {KNOWN: of_seeds[0][KNOWN]} if KNOWN in of_seeds[0] else {}
        found += [Heatmap(f"{task.title}\n{name}", matrix) for name, matrix in possible.items()]
    return found


def mean_matrix(of_seeds: Sequence[Matrices]) -> tuple[str, np.ndarray]:
    """(title, mean) of the matrix that shows what was learned."""
    learned = learned_in(of_seeds[0])
    name = LEARNED if LEARNED in learned else learned[0]
    matrices = [matrices[name] for matrices in of_seeds if name in matrices]
    return name, np.mean(matrices, axis=0)


def learned_in(matrices: Matrices) -> list[str]:
    """The titles of those matrices that were learned."""
    return [title for title in matrices if title not in GRAPHS.values()]


def older_pictures(runs: Sequence[PlannedRun], folder: Path) -> dict[str, Path]:
    """The pictures of influence of algorithms whose runs have left no matrices.

    Args:
        runs: those that have finished.
        folder: of the study.

    Returns:
        Task, algorithm and seed → last picture of the first seed that has one.
    """
    found: dict[tuple[str, str], tuple[int, Path]] = {}
    with_matrices = set()
    for run in runs:
        if (folder / run.folder / MATRICES).exists():
            with_matrices.add((run.task, run.algorithm))
        pictures = sorted((folder / run.folder / "pictures").glob("influence-*.png"))
        if pictures:
            found.setdefault((run.task, run.algorithm), (run.seed, pictures[-1]))
    names = {}
    for (task, algorithm), (seed, path) in found.items():
        if (task, algorithm) not in with_matrices:
            names[f"{task}, {algorithm}, seed {seed}"] = path
    return names


def heatmaps_picture(maps: Sequence[Heatmap]) -> Figure:
    """The heatmaps side by side, with one scale of colours from 0 to 1."""
    columns = min(len(maps), COLUMNS)
    rows = -(-len(maps) // COLUMNS)
    figure = Figure(figsize=(2.9 * columns + 0.8, 3.7 * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flat
    used = list(places)[: len(maps)]
    for axes, shown in zip(used, maps, strict=True):
        image = draw_matrix(axes, torch.from_numpy(np.asarray(shown.matrix)), shown.title)
        axes.title.set_fontsize(8)
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_fontsize(7)
        axes.yaxis.label.set_fontsize(7)
    for axes in list(figure.axes)[len(maps) :]:
        axes.set_axis_off()
    figure.colorbar(image, ax=figure.axes, shrink=0.8 / rows, label="influence")
    return figure
