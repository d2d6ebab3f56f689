"""Runs a study: what has not finished, as many runs at a time as there are places."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from ilvf.errors import require
from ilvf.experiment.folder import make_folder
from ilvf.experiment.jobs import Engine, Job, LocalEngine, require_all_succeeded
from ilvf.experiment.lock import RunLock, alone
from ilvf.experiment.store import require_address, tracking_uri
from ilvf.studies.absent import absent_tasks, absent_text
from ilvf.studies.analyses import OverEpisode
from ilvf.studies.csv_tables import write_table
from ilvf.studies.description import Study
from ilvf.studies.page import Results
from ilvf.studies.parent import ParentRun
from ilvf.studies.part import Part
from ilvf.studies.plan import PlannedRun, planned_runs
from ilvf.studies.processes import job_of
from ilvf.studies.raw_table import (
    RAW,
    curve_of,
    finished_keys,
    of_runs,
    read_raw,
    require_metric,
    with_run,
)
from ilvf.studies.records import (
    RECORDS,
    read_records,
    record_of,
    recorded_keys,
    with_record,
)
from ilvf.studies.report import write_report
from ilvf.studies.reuse import found_in, read_other
from ilvf.studies.settings import require_recorded_settings, require_settings_of_folder
from ilvf.studies.store import has_finished, tags_in_store

LOCK = "study.lock"  # in the study's folder: one process runs the study at a time


class Runner:
    """The runs of a study, their raw table and their records.

    Args:
        study: what runs.
        folder: of the study; `run` and `report` make it.
        part: what of it this call runs, None for all; the report is about all of it.
        reuse: folders of other studies; their runs with the same settings count as finished.

    Raises:
        UsageError: the study cannot run as described, or a finished run was trained with other
            settings.
    """

    def __init__(
        self, study: Study, folder: Path, part: Part | None = None, reuse: Sequence[Path] = ()
    ):
        self.study = study
        self.others = [read_other(other) for other in reuse]
        self.runs = planned_runs(study)
        self.part = part or Part()
        self.folder = folder.resolve()
        self.raw = self.folder / RAW
        self._read()
        self.absent = self._leave_out()
        self.analysis = OverEpisode(self.study, self.folder)

    def _read(self) -> None:
        """Read the tables, and add the runs that have ended without their study, in memory."""
        self.table = read_raw(self.raw)
        self.records = read_records(self.folder / RECORDS)
        done = finished_keys(self.table, self.runs, self.raw)
        require_recorded_settings(self.records, self.runs, done, self.folder / RECORDS)
        known = done & recorded_keys(self.records)
        self._collect([run for run in self.runs if run.key not in known])
        self._reuse()

    def _reuse(self) -> None:
        """Add runs of other studies to the tables in memory."""
        self.reused = 0
        for run, curve, record in found_in(self.others, self._unfinished()):
            self.reused += 1
            self.table = with_run(self.table, run, curve)
            self.records = with_record(self.records, record)

    def planned_table(self) -> pd.DataFrame:
        """The rows of the raw table whose runs the study has now; it may also have older ones."""
        return self.table[of_runs(self.table, self.runs)]

    def missing(self) -> list[PlannedRun]:
        """The runs of the part that the raw table does not have."""
        return [run for run in self._unfinished() if self.part.has(run)]

    def _unfinished(self) -> list[PlannedRun]:
        """All runs that the raw table does not have."""
        done = finished_keys(self.table, self.runs, self.raw)
        return [run for run in self.runs if run.key not in done]

    def _finished(self) -> list[PlannedRun]:
        """The runs of the part that the raw table has."""
        left = {run.key for run in self._unfinished()}
        return [run for run in self.runs if run.key not in left and self.part.has(run)]

    def _leave_out(self) -> dict[str, str]:
        """Leave out unfinished tasks that cannot run here: title → why."""
        unfinished = {run.task for run in self._unfinished()}
        tasks = [task for task in self.study.tasks if task.title in unfinished]
        absent = absent_tasks(tasks, self.part.tasks or ())
        left = {run.key for run in self._unfinished() if run.task in absent}
        self.runs = [run for run in self.runs if run.key not in left]
        begun = {run.task for run in self.runs}
        kept = [task for task in self.study.tasks if task.title in begun]
        require(bool(kept), f"no task can run here: {'; '.join(absent.values())}")
        self.study = replace(self.study, tasks=kept)
        return absent

    def report(self) -> list[Path]:
        """Write the report of the runs that have finished, and the tables it is of; its files."""
        self._make_folder()
        try:
            held = FileLock(self.folder / LOCK).acquire(timeout=0)
        except Timeout:  # another process runs the study, and writes the tables
            return self.write_files()
        with held:
            self._read()
            self._save()
            return self.write_files()

    def write_files(self) -> list[Path]:
        """Write the report into the folder; its files."""
        parts, files = self.analysis.report(self.runs)
        results = Results(self.study, self.runs, self.planned_table(), self.records)
        more = [absent_text(self.absent), *parts]
        return [*write_report(results, self.folder, more), *files]

    def run(self, engine: Engine | None = None) -> None:
        """Run what is missing, and write the report.

        Args:
            engine: where the runs are; by default this machine.

        Raises:
            UsageError: another process runs the study; or runs have failed, after all others have
                finished; names their logs.
        """
        require_address(tracking_uri(self.folder))
        self._make_folder()
        with alone(self.folder / LOCK, "the study"):
            self._read()  # a job of a cluster or another process may have ended since
            self._save()
            missing = self.missing()
            unfinished = self._unfinished()
            if not missing and not self.analysis.missing(self._finished(), unfinished):
                self.write_files()
                return
            engine = engine or LocalEngine(self.study.scale.accelerator)
            alive = engine.alive()
            for run in missing:
                if run.folder not in alive:
                    self.prepare(run)
            jobs, failed = self._run(missing, engine)
        require_all_succeeded(jobs, failed)
        left = self.missing()
        require(not left, f"{len(left)} runs ended before their last frame; call the study again")

    def _run(self, missing: Sequence[PlannedRun], engine: Engine) -> tuple[list[Job], list[Job]]:
        """All jobs, and those that failed."""
        parent = ParentRun(self.study, self.folder)
        jobs = {job_of(run, self.study, self.folder, parent.run_id): run for run in missing}

        def ended(job: Job, code: int) -> None:
            if code == 0:
                self._collect([jobs[job]], ended=True)
                self._save()

        status = "KILLED"
        files: Sequence[Path] = []
        try:
            failed = engine.run(list(jobs), ended, done=len(self._finished()))
            finished = self._finished()
            analysed, not_analysed = self.analysis.run(finished, self._unfinished(), engine)
            failed += not_analysed
            files = self.write_files()
            status = "FAILED" if failed else "FINISHED"
        finally:
            parent.close(status, [self.raw, self.folder / RECORDS, *files])
        return [*jobs, *analysed], failed

    def _make_folder(self) -> None:
        make_folder(self.folder / "logs", f"out={self.folder}")

    def _collect(self, runs: Sequence[PlannedRun], ended: bool = False) -> None:
        """Add those of the runs to the tables in memory that have finished.

        Args:
            ended: their processes have ended well, so that they have finished at their last frame.

        Raises:
            UsageError: one was trained with other settings than the study has now.
        """
        done = finished_keys(self.table, self.runs, self.raw)
        table = self.table
        records = self.records
        for run in runs:
            folder = self.folder / run.folder
            curve = curve_of(folder, run)
            if curve is None:
                continue
            tags = tags_in_store(self.study, self.folder, run)
            last = folder / "checkpoints" / "last.ckpt"
            if not (ended or run.key in done or has_finished(last, run, tags)):
                continue
            require_settings_of_folder(folder, run)
            if run.key not in done:
                require_metric(folder, run, table)
                table = with_run(table, run, curve)
            records = with_record(records, record_of(run, folder, tags))
        self.table = table
        self.records = records

    def _save(self) -> None:
        """Write the tables; only the process that holds the study's lock does."""
        write_table(self.folder / RECORDS, self.records)
        write_table(self.raw, self.table)

    def prepare(self, run: PlannedRun) -> None:
        """Delete what a run without a checkpoint has left, as it begins again.

        Raises:
            UsageError: another process trains it, such as one that a kill of the study has left;
                or its checkpoint has other settings than the study.
        """
        folder = self.folder / run.folder
        if not folder.exists():
            return
        RunLock(folder).release()
        if not (folder / "checkpoints" / "last.ckpt").is_file():
            shutil.rmtree(folder)
            return
        require_settings_of_folder(folder, run)
