"""The tables of a study for LaTeX: `tables.tex`, for the package booktabs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ilvf.analysis.aggregates import (
    Array,
    Statistic,
    interquartile_mean,
    optimality_gap,
    stratified_interval,
)
from ilvf.studies.description import Study, StudyTask
from ilvf.studies.scores import SUMMARIES, curves_of, run_values

HEAD = r"""% The tables of a study; they need \usepackage{booktabs}.
% Interquartile means with 95 % bootstrap intervals; the best value of a column is bold."""
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"\ensuremath{\times}",
    "−": r"\ensuremath{-}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
SPECIAL |= {character: rf"\{character}" for character in "&%$#_{}"}
GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi",
    "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "varphi", "χ": "chi", "ψ": "psi",
    "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Σ": "Sigma",
    "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip
SPECIAL |= {letter: rf"\ensuremath{{\{name}}}" for letter, name in GREEK.items()}
Cell = tuple[float, tuple[float, float]]  # value and interval


def latex_tables(table: pd.DataFrame, study: Study, arrays: Mapping[str, Array]) -> str:
    """One table for each task that has runs, and one for all tasks.

    Args:
        table: the raw table.
        study: what ran.
        arrays: title → scores of the algorithms that run on all tasks.
    """
    parts = [HEAD]
    for task in study.tasks:
        if curves_of(table, study, task):
            parts.append(task_table(table, study, task))
    if arrays:
        parts.append(all_tasks_table(arrays))
    return "\n\n".join(parts) + "\n"


def task_table(table: pd.DataFrame, study: Study, task: StudyTask) -> str:
    """Interquartile means of a task's metric."""
    curves = curves_of(table, study, task)
    columns: dict[str, dict[str, Cell]] = {}
    for name, summary in SUMMARIES.items():
        values = run_values(curves, summary)
        columns[name] = {title: cell_of(values[title]) for title in values}
    whole = run_values(curves, SUMMARIES["whole curve"])
    seeds = {title: int(whole[title].count()) for title in whole}
    highest = dict.fromkeys(columns, task.better == "higher")
    caption = f"{task.title}: {task.metric}, {task.better} is better."
    return latex_table(caption, seeds, columns, highest)


def cell_of(values: pd.Series) -> Cell:
    """Interquartile mean of one value per run, and its interval; NaN without a finite value."""
    scores = values.dropna().to_numpy(float)[:, None]
    if not len(scores):
        return float("nan"), (float("nan"), float("nan"))
    return estimate(scores, interquartile_mean)


def estimate(scores: Array, statistic: Statistic) -> Cell:
    """A statistic of scores `[R, M]` and its interval."""
    return float(statistic(scores)), stratified_interval(scores, statistic)


def all_tasks_table(arrays: Mapping[str, Array]) -> str:
    """Statistics of the scores over all tasks."""
    columns = {
        "IQM of the score": {t: estimate(a, interquartile_mean) for t, a in arrays.items()},
        "optimality gap": {t: estimate(a, optimality_gap) for t, a in arrays.items()},
    }
    highest = {"IQM of the score": True, "optimality gap": False}
    seeds = {title: len(scores) for title, scores in arrays.items()}
    return latex_table("All tasks.", seeds, columns, highest)


def latex_table(
    caption: str,
    seeds: Mapping[str, int],
    columns: Mapping[str, Mapping[str, Cell]],
    highest: Mapping[str, bool],
) -> str:
    """A table with one row for each algorithm.

    Args:
        caption: plain text.
        seeds: algorithm → number of runs.
        columns: column → algorithm → value and interval.
        highest: column → is the highest value the best one?
    """
    best = {name: best_of(cells, highest[name]) for name, cells in columns.items()}
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escaped(caption)}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (1 + len(columns))}}}", r"\toprule"]
    lines += [row_of(["algorithm", "seeds", *map(escaped, columns)]), r"\midrule"]
    for title, count in seeds.items():
        cells = [shown(*columns[name][title], title in best[name]) for name in columns]
        lines.append(row_of([escaped(title), str(count), *cells]))
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines)


def best_of(cells: Mapping[str, Cell], highest: bool) -> list[str]:
    """The algorithms with the best value."""
    values = {title: value for title, (value, _) in cells.items() if np.isfinite(value)}
    if not values:
        return []
    best = max(values.values()) if highest else min(values.values())
    return [title for title, value in values.items() if value == best]


def shown(value: float, interval: tuple[float, float], bold: bool) -> str:
    """A value and its interval; the interval of one run is not known."""
    if not np.isfinite(value):
        return "--"
    number = rf"$\mathbf{{{value:.3f}}}$" if bold else f"${value:.3f}$"
    low, high = interval
    if not np.isfinite([low, high]).all():
        return number
    return rf"{number} {{\footnotesize $[{low:.3f}, {high:.3f}]$}}"


def row_of(cells: Sequence[str]) -> str:
    """A row of a table; {} keeps a [ or * at its beginning from the end of the row before."""
    start = "{}" if cells[0].startswith(("[", "*")) else ""
    return start + " & ".join(cells) + r" \\"


def escaped(text: str) -> str:
    """Plain text in LaTeX; letters that it does not know stay, for LuaLaTeX or XeLaTeX."""
    return "".join(SPECIAL.get(character, character) for character in text)
