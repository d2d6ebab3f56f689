"""The page of a study's report, in markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ilvf.analysis.aggregates import Array
from ilvf.reports.tables import code, escaped
from ilvf.studies.csv_tables import RUN
from ilvf.studies.description import Study, StudyTask
from ilvf.studies.plan import Key, PlannedRun
from ilvf.studies.raw_table import of_runs
from ilvf.studies.references import references_of
from ilvf.studies.scores import complete_tasks
from ilvf.studies.tables import all_comparisons, comparisons_table, scores_table, task_table
from ilvf.studies.what_ran import (
    link_line,
    machines_table,
    runs_table,
    settings_table,
    time_line,
)

FILES = """The runs are in `raw.csv` (curves) and `runs.csv` (commands, times, versions), from which
this page can be made again. The tables are in `tables.tex` for LaTeX, the curves in
`marl_eval.json` for [marl-eval](https://github.com/instadeepai/marl-eval)."""
NOTES = """*Whole curve* is the mean of a run's curve, *last tenth* that of its last tenth. Values
over runs are interquartile means (the mean without the lowest and highest quarter), with 95 %
bootstrap intervals over seeds. *Gain* is the whole curve minus the start, which is the mean of the
first points of all runs; its ratio to the baseline's is over equal seeds. *Score* is a run's whole
curve with the worst value at 0 and the best at 1: values that the study gives for a task, or else
the worst and best run. Differences are means over equal seeds, with 95 % t intervals; p is of
the paired t test, and p (Holm) is corrected for all comparisons of the table. The better or best of
several algorithms is that of these runs on a task, which favours it."""
MATRICES = """Influence at the last evaluation, mean over the seeds whose folders are here. Row: the
agent whose action it is; column: the agent whose return changes."""


@dataclass(frozen=True)
class Results:
    """What a report shows.

    Attributes:
        study: what runs.
        runs: all runs of the study.
        table: the raw table.
        records: of the runs, see `records`.
        waiting: titles of tasks that are not shown, because none of their runs has finished.
    """

    study: Study
    runs: Sequence[PlannedRun]
    table: pd.DataFrame
    records: pd.DataFrame
    waiting: Sequence[str] = ()

    def of_begun_tasks(self) -> "Results":
        """The same without the tasks of which no run has finished; all if none has at all."""
        begun = {run.task for run in self.finished()}
        tasks = [task for task in self.study.tasks if task.title in begun]
        if not tasks:
            return self
        waiting = [task.title for task in self.study.tasks if task.title not in begun]
        return replace(self, study=replace(self.study, tasks=tasks), waiting=waiting)

    def finished(self) -> list[PlannedRun]:
        """The runs that the raw table has."""
        keys: set[Key] = set(self.table[RUN].itertuples(index=False, name=None))
        return [run for run in self.runs if run.key in keys]

    def known_records(self) -> pd.DataFrame:
        """The records of the finished runs."""
        return self.records[of_runs(self.records, self.finished())]


def parts_of(
    results: Results,
    arrays: Mapping[str, Array],
    pictures: Mapping[str, Sequence[str]],
    more: Sequence[str] = (),
) -> list[str]:
    """The parts of the page.

    Args:
        results: what is shown.
        arrays: title → scores of the algorithms that run on all tasks.
        pictures: section → files of its pictures, with the text of each; see `report`.
        more: further parts, before the list of the runs; empty ones are left out.
    """
    study = results.study
    records = results.known_records()
    parts = [f"# {escaped(study.title)}", study.about.strip(), head_of(results)]
    parts += ["## What was run", settings_table(study, results.runs, records)]
    parts += [time_line(records, len(results.finished()))]
    if len(records):
        parts += [machines_table(records)]
    parts += ["## Learning curves", *pictures["curves"]]
    for task in study.tasks:
        parts += [f"### {escaped(task.title)}", task_table(results.table, study, task)]
    if arrays:
        over = complete_line(complete_tasks(results.table, study), study)
        parts += ["## All tasks", over, scores_table(arrays, study.baseline), *pictures["scores"]]
    for reference in references_of(study):
        comparisons = all_comparisons(results.table, study, reference)
        if comparisons:
            heading = f"## Differences to {escaped(reference.title)}"
            parts += [heading, comparisons_table(comparisons)]
    if pictures["influence"]:
        parts += ["## Influence", MATRICES, *pictures["influence"]]
    parts += more
    if len(records):
        parts += ["## Runs", runs_table(study, records), link_line(records)]
    return [part for part in [*parts, "## Notes", NOTES, FILES] if part]


def complete_line(tasks: Sequence[StudyTask], study: Study) -> str:
    """Which tasks the scores are about, if not all."""
    if len(tasks) == len(study.tasks):
        return ""
    titles = "; ".join(escaped(task.title) for task in tasks)
    baseline = escaped(study.baseline)
    return (
        f"Over the tasks on which {baseline} has at least half as many seeds as on any, and the "
        f"seeds that all of them have: {titles}."
    )


def head_of(results: Results) -> str:
    """How the study was run, and whether runs are missing."""
    study = results.study
    head = f"{code(study.command)}, seeds {study.scale.seeds}."
    missing = len(results.runs) - len(results.finished())
    if missing:
        head += f" **{missing} runs have not finished and are not in this report.**"
    if results.waiting:
        head += f" No run has finished of: {', '.join(map(escaped, results.waiting))}."
    return head
