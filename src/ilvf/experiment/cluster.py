"""Jobs on a cluster, through submitit: a SLURM array, or processes of this machine.

Each job runs the plain command `python -m ilvf train ...`. The calling process waits for the jobs.
If it ends before them, the next call finds them by `submitted.json` in the folder of the jobs.
"""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ilvf.errors import UsageError, require
from ilvf.experiment.engine_options import EngineOptions, installed
from ilvf.experiment.interrupts import sigterm_interrupts
from ilvf.experiment.jobs import Ended, Job, cores
from ilvf.experiment.store import first_line

BOOK = "submitted.json"  # name of a job → its id in the cluster
POLL = 2.0  # [s] between looks at the jobs
PARALLEL = 16  # SLURM jobs at a time, if nobody says otherwise
Submitted = Any  # a submitit.Job; submitit is imported when a cluster is used


class ClusterEngine:
    """Runs jobs through submitit.

    A job that the cluster stops is not queued again: it would begin anew instead of at its last
    checkpoint. The next call of the study starts it.

    Args:
        folder: of the job files; every machine of the cluster must see it.
        options: resources of one job.
        accelerator: of the runs, as `trainer.accelerator`.

    Raises:
        UsageError: submitit is missing or refuses the options, or `submitted.json` is damaged.
    """

    def __init__(self, folder: Path, options: EngineOptions, accelerator: str):
        require(
            installed("submitit"),
            'engine=submitit needs submitit: pip install "ilvf[submitit]"',
        )
        self.folder = folder.resolve()
        self.options = options
        self._executor = executor_of(self.folder, options, accelerator)
        self.is_slurm = self._executor.cluster == "slurm"
        self._earlier = self._earlier_jobs()

    def alive(self) -> set[str]:
        """Names of the jobs of an earlier call that had not ended when this engine was made.

        Only SLURM knows them. A process of this machine that is alive holds its run's lock.
        """
        return set(self._earlier)

    def width(self) -> int:
        """How many jobs run at a time."""
        return self.options.parallel or (PARALLEL if self.is_slurm else cores())

    def run(self, jobs: Sequence[Job], ended: Ended | None = None, done: int = 0) -> list[Job]:
        """Submit the jobs that are not alive, and wait for all.

        Ctrl-C and SIGTERM end this process with 130; the jobs go on.

        Args:
            jobs: submitted in this order.
            ended: called whenever a job has ended, with 0 or 1.
            done: jobs that had ended before; the progress bar begins there.

        Returns:
            The jobs that failed.

        Raises:
            UsageError: the cluster does not accept the jobs, or their list cannot be written.
        """
        alive = self.alive()
        waiting = [job for job in jobs if job.name not in alive]
        running = {job: self._earlier.pop(job.name) for job in jobs if job.name in alive}
        failed: list[Job] = []
        try:
            with (
                sigterm_interrupts(),
                tqdm(total=done + len(jobs), initial=done, unit="run") as bar,
            ):
                while waiting or running:
                    self._submit_next(waiting, running)
                    time.sleep(POLL)
                    for job, code in self._take_ended(running):
                        if code:
                            failed.append(job)
                        if ended is not None:
                            ended(job, code)
                        bar.update()
        except KeyboardInterrupt:
            if self.is_slurm:
                print(f"{len(running)} jobs go on; call the same command again to collect them")
            raise SystemExit(130) from None
        return failed

    def _submit_next(self, waiting: list[Job], running: dict[Job, Submitted]) -> None:
        """Submit all jobs as one SLURM array; on this machine as many as there are places."""
        number = len(waiting) if self.is_slurm else self.width() - len(running)
        jobs = waiting[:number]
        if not jobs:
            return
        del waiting[:number]
        new = self._submit(jobs)
        running |= zip(jobs, new, strict=True)
        ids = {name: submitted.job_id for name, submitted in self._earlier.items()}
        ids |= {job.name: submitted.job_id for job, submitted in running.items()}
        try:
            self._write_book(ids)
        except OSError as error:
            cancel(new)
            raise UsageError(
                f"{self.folder / BOOK} cannot be written ({error.strerror}); the {len(new)} jobs "
                "that were submitted are cancelled"
            ) from error

    def _submit(self, jobs: Sequence[Job]) -> list[Submitted]:
        """Hand jobs to the cluster, without the variables of a job that this process may be."""
        from submitit.helpers import clean_env

        try:
            with clean_env():
                return self._executor.map_array(subprocess.check_call, [*map(words_of, jobs)])
        except (RuntimeError, OSError) as error:
            reason = first_line(error)
            raise UsageError(f"the cluster does not accept the jobs: {reason}") from error

    def _take_ended(self, running: dict[Job, Submitted]) -> list[tuple[Job, int]]:
        """Remove the jobs that have ended; each with 1 if it has failed, or 0.

        Their output is copied to their logs.
        """
        found = []
        for job in [job for job, submitted in running.items() if submitted.done()]:
            submitted = running.pop(job)
            if submitted.paths.stdout.is_file():
                shutil.copyfile(submitted.paths.stdout, job.log)
            has_failed = submitted.exception() is not None
            if has_failed:
                tqdm.write(f"a run has failed: {job.log}")
            found.append((job, int(has_failed)))
        return found

    def _earlier_jobs(self) -> dict[str, Submitted]:
        """The SLURM jobs of an earlier call that have not ended."""
        import submitit

        found: dict[str, Submitted] = {}
        book = self.folder / BOOK
        if not self.is_slurm or not book.exists():
            return found
        try:
            ids = dict(json.loads(book.read_text()))
            found = {name: submitit.SlurmJob(self.folder, str(ids[name])) for name in ids}
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"{book} cannot be read ({first_line(error)}); cancel the jobs that are left "
                "and delete it"
            ) from error
        return {name: submitted for name, submitted in found.items() if not submitted.done()}

    def _write_book(self, ids: Mapping[str, str]) -> None:
        """Note the jobs that have not ended."""
        part = self.folder / f"{BOOK}.part"
        part.write_text(json.dumps(ids))
        part.replace(self.folder / BOOK)


def cancel(jobs: Sequence[Submitted]) -> None:
    """Cancel jobs that nobody would find again."""
    for submitted in jobs:
        with contextlib.suppress(OSError):  # the program that cancels is missing
            submitted.cancel(check=False)


def words_of(job: Job) -> list[str]:
    """The command of a job with its environment variables, by the program `env`."""
    variables = {"OMP_NUM_THREADS": "1", **job.variables}
    return ["env", *(f"{name}={value}" for name, value in variables.items()), *job.command]


def executor_of(folder: Path, options: EngineOptions, accelerator: str) -> Any:
    """The executor of submitit.

    Raises:
        UsageError: it does not accept an option; in its words.
    """
    import submitit

    cluster = None if options.cluster == "auto" else options.cluster
    try:
        executor = submitit.AutoExecutor(folder, cluster=cluster)
        executor.update_parameters(**parameters_of(options, accelerator))
    except (RuntimeError, NameError, TypeError, ValueError, AssertionError, OSError) as error:
        raise UsageError(f"engine=submitit: {first_line(error)}") from error
    return executor


def parameters_of(options: EngineOptions, accelerator: str) -> dict[str, Any]:
    """The parameters of submitit's executor; those of `more` win."""
    gpus = options.gpus_per_node
    if gpus is None:
        gpus = 0 if accelerator == "cpu" else 1
    return {
        "name": "ilvf",
        "timeout_min": options.timeout_min,
        "cpus_per_task": options.cpus_per_task,
        "gpus_per_node": gpus or None,
        "mem_gb": options.mem_gb,
        "stderr_to_stdout": True,
        "slurm_partition": options.partition,
        "slurm_array_parallelism": options.parallel or PARALLEL,
        "slurm_additional_parameters": {"no-requeue": True},
        **options.more,
    }
