"""Runs the analyses that `after:` of a study names, each finished run in a process of its own."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ilvf.algorithms.options import RelationOptions, config_of
from ilvf.credit.options import ScoreOptions
from ilvf.envs.names import AgentNames
from ilvf.experiment.config import confirmed_words, environment_of
from ilvf.experiment.jobs import Engine, Job
from ilvf.experiment.options import training_schema
from ilvf.options import text_of
from ilvf.reports.matrices_file import MATRICES, read_names
from ilvf.studies.after import OVER_EPISODE
from ilvf.studies.csv_tables import RUN, read_table, write_table
from ilvf.studies.description import Study, StudyAlgorithm
from ilvf.studies.over_episode import COLUMNS, report_parts, rows_of
from ilvf.studies.plan import PlannedRun, planned_runs
from ilvf.studies.raw_table import of_runs

INFLUENCE = "algorithm.influence"  # config key
FOUND = ("learned", "score")  # its values that are no fixed graph


class OverEpisode:
    """The analysis `influence_over_episode`; without one in the study nothing is ever missing.

    Args:
        study: with its scale's options of the analysis.
        folder: of the study.

    Raises:
        UsageError: the table of an earlier call cannot be read.
    """

    def __init__(self, study: Study, folder: Path):
        self.study = study
        self.wanted = OVER_EPISODE in study.after
        self.options: Mapping = study.scale.after.get(OVER_EPISODE, {})
        self.algorithms = [a.title for a in study.algorithms if finds_influence(a)]
        self.folder = folder
        self.file = folder / f"{OVER_EPISODE}.csv"
        self.table = read_table(self.file, COLUMNS, COLUMNS[2:])

    def missing(
        self, finished: Sequence[PlannedRun], unfinished: Sequence[PlannedRun]
    ) -> list[PlannedRun]:
        """Those of the finished runs that can be analysed here and are not in the table.

        Args:
            finished: runs of the part of the study that is run.
            unfinished: of the whole study; rows of these are of a training that is to be repeated,
                so they are dropped.
        """
        if not self.wanted:
            return []
        self.table = self.table[~of_runs(self.table, unfinished)]
        done = set(self.table[RUN].itertuples(index=False, name=None))
        left = [run for run in finished if run.key not in done]
        return [run for run in left if run.algorithm in self.algorithms and self._is_here(run)]

    def _is_here(self, run: PlannedRun) -> bool:
        """Are the run's checkpoints on this machine? A raw table alone is from another one."""
        return (self.folder / run.folder / "checkpoints").is_dir()

    def run(
        self, finished: Sequence[PlannedRun], unfinished: Sequence[PlannedRun], engine: Engine
    ) -> tuple[list[Job], list[Job]]:
        """Analyse what is `missing`; all jobs, and those that failed."""
        missing = self.missing(finished, unfinished)
        jobs = {self._job(run): run for run in missing}

        def ended(job: Job, code: int) -> None:
            if code == 0:
                self._add(jobs[job])

        if not jobs:
            return [], []
        print(f"{OVER_EPISODE}: {len(jobs)} runs", flush=True)
        return list(jobs), engine.run(list(jobs), ended)

    def _job(self, run: PlannedRun) -> Job:
        """The process that analyses a run."""
        command = [sys.executable, "-m", "ilvf", "influence"]
        command.append(f"checkpoint={self.folder / run.folder}")
        command += [f"influence.{name}={text_of(value)}" for name, value in self.options.items()]
        env = next(task.env for task in self.study.tasks if task.title == run.task)
        name, _ = environment_of(env)
        command += confirmed_words(training_schema(run.recipe), str(name), run.arguments)
        return Job(command, self.folder / "logs" / f"{run.folder}.influence.log")

    def _add(self, run: PlannedRun) -> None:
        """Add a run to the table and its file, which is complete at any moment."""
        rows = rows_of(self.folder / run.folder, run)
        both = pd.concat([self.table, rows]) if len(self.table) else rows
        self.table = both.sort_values(COLUMNS[:7], ignore_index=True)
        write_table(self.file, self.table)

    def report(self, runs: Sequence[PlannedRun]) -> tuple[list[str], list[Path]]:
        """Parts of the study's page about these runs, and files."""
        if not self.wanted:
            return [], []
        table = self.table[of_runs(self.table, runs)]
        parts, pictures = report_parts(table, self.folder, self._agents())
        return parts, [self.file, *pictures]

    def _agents(self) -> dict[str, AgentNames]:
        """Task → names of its agents, from the first run whose folder is here."""
        found: dict[str, AgentNames] = {}
        for run in planned_runs(self.study):
            file = self.folder / run.folder / MATRICES
            rows = self.table[self.table["task"] == run.task]
            if run.task not in found and file.exists() and len(rows):
                found[run.task] = read_names(file, int(rows["acting"].max()) + 1)
        return found


def finds_influence(algorithm: StudyAlgorithm) -> bool:
    """Does an algorithm find influence, instead of having a fixed graph or none?"""
    config = config_of(algorithm.recipe)
    return (
        issubclass(config, RelationOptions | ScoreOptions)
        and algorithm.keys.get(INFLUENCE, FOUND[0]) in FOUND
    )
