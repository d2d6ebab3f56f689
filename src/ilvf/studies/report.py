"""The report of a study: `report.md` with tables, and its pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ilvf.errors import UsageError
from ilvf.reports.tables import write_page
from ilvf.studies.aggregates import Array
from ilvf.studies.description import Study
from ilvf.studies.pictures import curves_picture, profiles_picture
from ilvf.studies.scores import score_arrays, whole_curve
from ilvf.studies.tables import all_comparisons, comparisons_table, scores_table, task_table

NOTES = """*Whole curve* is the mean of a run's curve, *last tenth* that of its last tenth. Values
over runs are interquartile means (the mean without the lowest and highest quarter), with 95 %
bootstrap intervals over seeds. *Gain* is the whole curve minus the start, which is the mean of the
first points of all runs; its ratio to the baseline's is over equal seeds. *Score* is a run's whole
curve with the worst value at 0 and the best at 1: values that the study gives for a task, or else
the worst and best run. Differences are means over equal seeds, with 95 % t intervals; p is of
the paired t test, and p (Holm) is corrected for all comparisons of the table."""


def write_report(
    study: Study, table: pd.DataFrame, folder: Path, missing: int, more: Sequence[str] = ()
) -> list[Path]:
    """Write the report of the raw table into a folder.

    Args:
        missing: runs of the study that the table does not have.
        more: further parts of the page; empty ones are left out.

    Returns:
        The files: the page and its pictures.

    Raises:
        UsageError: a file cannot be written.
    """
    page = folder / "report.md"
    curves = folder / "curves.png"
    profiles = folder / "profiles.png"
    files = [page, curves]
    arrays = score_arrays(table, study, whole_curve)
    try:
        curves_picture(table, study).savefig(curves, dpi=120)
        if arrays:
            profiles_picture(arrays, study).savefig(profiles, dpi=120)
            files.append(profiles)
        write_page(page, parts_of(study, table, arrays, missing, more))
    except OSError as error:
        reason = f"{error.filename or page} cannot be written ({error.strerror})"
        raise UsageError(f"the report: {reason}") from error
    return files


def parts_of(
    study: Study,
    table: pd.DataFrame,
    arrays: Mapping[str, Array],
    missing: int,
    more: Sequence[str],
) -> list[str]:
    """The parts of the page."""
    parts = [f"# {study.title}", study.about.strip(), head_of(study, missing)]
    parts += ["![Learning curves](curves.png)"]
    for task in study.tasks:
        parts += [f"## {task.title}", task_table(table, study, task)]
    if arrays:
        parts += ["## All tasks", scores_table(arrays, study.baseline)]
        parts += ["![Performance profiles](profiles.png)"]
    comparisons = all_comparisons(table, study)
    if comparisons:
        parts += [f"## Differences to {study.baseline}", comparisons_table(comparisons)]
    return [part for part in [*parts, *more, NOTES] if part]


def head_of(study: Study, missing: int) -> str:
    """How the study was run, and whether runs are missing."""
    head = f"`ilvf study {study.name} scale={study.scale_name}`, seeds {study.scale.seeds}."
    if missing:
        head += f" **{missing} runs have not finished and are not in this report.**"
    return head
