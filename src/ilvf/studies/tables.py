"""The tables of a study's report, in markdown."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ilvf.analysis.aggregates import (
    Array,
    improvement_interval,
    interquartile_mean,
    optimality_gap,
    probability_of_improvement,
    stratified_interval,
)
from ilvf.analysis.curves import gain_ratio
from ilvf.reports.tables import code, escaped
from ilvf.reports.tables import table as markdown
from ilvf.studies.description import Study, StudyTask
from ilvf.studies.pairs import PairedComparison, compare_pairs, corrected
from ilvf.studies.references import Reference, references_of
from ilvf.studies.scores import SUMMARIES, curves_of, run_values, whole_curve


def task_table(table: pd.DataFrame, study: Study, task: StudyTask) -> str:
    """Interquartile means of a task's metric, and gains as ratios to those of the references."""
    curves = curves_of(table, study, task)
    if not curves:
        return "No run has finished."
    values = {name: run_values(curves, summary) for name, summary in SUMMARIES.items()}
    whole = values["whole curve"]
    start = float(np.nanmean([run.iloc[0] for runs in curves.values() for run in runs]))
    sign = -1 if task.better == "lower" else 1
    bases = {}
    for reference in references_of(study):
        best = reference.on(whole, task)
        if best is not None:
            bases[reference.title] = whole[best] - start
    rows = []
    for title in curves:
        row = [escaped(title), str(int(whole[title].count()))]
        row += [estimate(table_of[title]) for table_of in values.values()]
        row += [gain_ratio(whole[title] - start, base, sign) for base in bases.values()]
        rows.append(row)
    head = ["algorithm", "seeds", *SUMMARIES, *(f"gain / {escaped(title)}" for title in bases)]
    return f"{code(task.metric)}, {task.better} is better.\n\n{markdown(head, rows)}"


def estimate(values: pd.Series) -> str:
    """Interquartile mean of one value per run, with its interval."""
    array = values.dropna().to_numpy(float)[:, None]
    if not len(array):
        return "no finite value"
    return with_interval(
        float(interquartile_mean(array)), stratified_interval(array, interquartile_mean)
    )


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A number and its interval; without the interval if it is not known."""
    low, high = interval
    if not np.isfinite([low, high]).all():
        return f"{value:.3f}"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def scores_table(arrays: Mapping[str, Array], baseline: str) -> str:
    """Statistics of the scores over all tasks."""
    rows = []
    for title, scores in arrays.items():
        row = [
            escaped(title),
            len(scores),
            with_interval(
                float(interquartile_mean(scores)), stratified_interval(scores, interquartile_mean)
            ),
            with_interval(
                float(optimality_gap(scores)), stratified_interval(scores, optimality_gap)
            ),
        ]
        if baseline in arrays:
            row.append(improvement(scores, arrays[baseline]) if title != baseline else "")
        rows.append(row)
    head = ["algorithm", "seeds", "IQM of the score", "optimality gap"]
    if baseline in arrays:
        head.append(f"P(better than {escaped(baseline)})")
    return markdown(head, rows)


def improvement(scores: Array, baseline: Array) -> str:
    """Probability of improvement over the baseline, with its interval."""
    value = float(probability_of_improvement(scores, baseline))
    return with_interval(value, improvement_interval(scores, baseline))


def all_comparisons(
    table: pd.DataFrame, study: Study, reference: Reference
) -> list[PairedComparison]:
    """The whole curves of every algorithm and task against a reference's, p-values corrected."""
    found = []
    for task in study.tasks:
        values = run_values(curves_of(table, study, task), whole_curve)
        best = reference.on(values, task)
        if best is None:
            continue
        for title in values.columns.drop(best):
            both = values[[title, best]].dropna()
            if len(both):
                first, second = (both[name].tolist() for name in both)
                found.append(compare_pairs(task.title, title, first, second))
    return corrected(found)


def comparisons_table(comparisons: list[PairedComparison]) -> str:
    """One row for each comparison."""
    rows = []
    for found in comparisons:
        rows.append(
            [
                escaped(found.task),
                escaped(found.algorithm),
                found.pairs,
                with_interval(found.difference, found.interval),
                number(found.p),
                number(found.adjusted_p),
            ]
        )
    head = ["task", "algorithm", "pairs", "difference", "p", "p (Holm)"]
    return markdown(head, rows)


def number(p: float) -> str:
    """A p-value; nothing where there is none."""
    return "" if np.isnan(p) else f"{p:.2g}"
