"""What the runs of a study have learned about influence, as a mean over the seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from ilvf.envs.names import AgentNames
from ilvf.reports.matrices import Panel, draw_influence
from ilvf.reports.matrices_file import MATRICES, Matrices, read_matrices, read_names
from ilvf.reports.pictures import GRAPHS
from ilvf.reports.titles import counted
from ilvf.studies.description import Study, StudyTask
from ilvf.studies.plan import PlannedRun

COLUMNS = 4
SHOWN = ("attention w", "evidence p", "influence Ŵ")  # of what algorithms learn, if there is one
KNOWN = "all influence that is possible"


def heatmaps(study: Study, runs: Sequence[PlannedRun], folder: Path) -> list[list[Panel]]:
    """The mean w and Ŵ of every algorithm that learns influence, and what is possible, by task.

    Args:
        runs: those that have finished; the ones without a folder here are left out.
        folder: of the study.
    """
    found = []
    for task in study.tasks:
        panels = panels_of_task(study, task, runs, folder)
        if panels:
            found.append(panels)
    return found


def panels_of_task(
    study: Study, task: StudyTask, runs: Sequence[PlannedRun], folder: Path
) -> list[Panel]:
    """The panels of a task, algorithm by algorithm."""
    panels: list[Panel] = []
    last: list[Panel] = []
    for algorithm in study.algorithms_of(task):
        key = (task.title, algorithm.title)
        files = [folder / r.folder / MATRICES for r in runs if (r.task, r.algorithm) == key]
        of_seeds = [matrices for matrices in map(read_matrices, files) if learned_in(matrices)]
        if not of_seeds:
            continue
        agents = names_in(files, len(next(iter(of_seeds[0].values()))))
        for name, matrix in mean_matrices(of_seeds).items():
            seeds = counted(len(of_seeds), "seed")
            title = f"{task.title}\n{algorithm.title}\n{name}, {seeds}"
            panels.append(Panel(torch.from_numpy(matrix), title, agents=agents))
        if KNOWN in of_seeds[0]:
            known = torch.from_numpy(of_seeds[0][KNOWN])
            last = [Panel(known, f"{task.title}\n{KNOWN}", agents=agents)]
    return panels + last


def mean_matrices(of_seeds: Sequence[Matrices]) -> dict[str, np.ndarray]:
    """Title → mean of the matrices that show what was learned."""
    learned = learned_in(of_seeds[0])
    names = [name for name in SHOWN if name in learned] or learned[:1]
    means = {}
    for name in names:
        matrices = [matrices[name] for matrices in of_seeds if name in matrices]
        means[name] = np.mean(matrices, axis=0)
    return means


def names_in(files: Sequence[Path], n: int) -> AgentNames:
    """The names of N agents in the first of the files that is here."""
    return read_names(next(file for file in files if file.exists()), n)


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


def heatmaps_picture(tasks: Sequence[Sequence[Panel]], title: str) -> Figure:
    """The heatmaps of each task side by side, with one scale of colours from 0 to 1."""
    rows = []
    for panels in tasks:
        rows += [panels[k : k + COLUMNS] for k in range(0, len(panels), COLUMNS)]
    return draw_influence(rows, f"{title}: influence at the last evaluation")
