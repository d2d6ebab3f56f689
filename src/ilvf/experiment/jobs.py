"""Training runs as processes: each with arguments and a log of its own, several at a time."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tqdm.auto import tqdm

from ilvf.errors import UsageError
from ilvf.experiment.interrupts import sigterm_interrupts
from ilvf.experiment.processes import number_of_processes, visible_gpus

VISIBLE = "CUDA_VISIBLE_DEVICES"  # environment variable: the GPUs that a process sees
POLL = 0.2  # [s] between looks at the processes
Place = dict[str, str]  # environment variables of a run: the GPUs that it may use


@dataclass(frozen=True, eq=False)
class Job:
    """One run in a process of its own.

    Attributes:
        command: the process's words, from the interpreter on.
        log: file that receives its output.
        variables: environment variables of this run.
    """

    command: Sequence[str]
    log: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the log without `.log`."""
        return self.log.name.removesuffix(".log")


Ended = Callable[[Job, int], None]  # called with a job that has ended and its exit code


Watch = Callable[[Collection[Job]], None]  # called with the jobs that run


class RunsFailed(UsageError):
    """Some of several runs have failed; names their logs."""


class Engine(Protocol):
    """Where jobs run."""

    def alive(self) -> Collection[str]:
        """Names of the jobs that an earlier call has started and that have not ended."""

    def width(self) -> int:
        """How many jobs run at a time."""

    def run(self, jobs: Sequence[Job], ended: Ended | None = None, done: int = 0) -> list[Job]:
        """Run all jobs, see `run_jobs`; the jobs that failed."""


class LocalEngine:
    """Jobs as processes of this machine, as many at a time as there are places.

    Args:
        accelerator: of `TrainerOptions`; each run has one device.
    """

    def __init__(self, accelerator: str):
        self.accelerator = accelerator

    def alive(self) -> Collection[str]:
        """None: a run that an earlier call has left holds its lock."""
        return ()

    def width(self) -> int:
        """The number of places."""
        return len(places(self.accelerator, 1))

    def run(self, jobs: Sequence[Job], ended: Ended | None = None, done: int = 0) -> list[Job]:
        """Run all jobs, see `run_jobs`; the jobs that failed."""
        return run_jobs(jobs, places(self.accelerator, 1), ended, done)


def places(accelerator: str, devices: int | list[int]) -> list[Place]:
    """Where runs can be at the same time, as environment variables of each.

    On the CPU there is a place for every core, or for every `devices` cores. On GPUs there is a
    place for every `devices` GPUs, which nobody shares, and no more places than cores: with 4 GPUs
    and `devices=1`, 4 runs at a time, each of which sees one GPU. For several runs on one GPU,
    start them yourself. A list of devices is one place, as all runs would use the same GPUs.

    Args:
        accelerator, devices: of `TrainerOptions`.

    Raises:
        UsageError: the machine does not have the devices.
    """
    size = number_of_processes(accelerator, devices)
    gpus = visible_gpus(accelerator)
    at_most = max(cores() // size, 1)
    if gpus == 0:
        return [{} for _ in range(at_most)]
    if isinstance(devices, list) or gpus < 2 * size:
        return [{}]
    names = os.environ.get(VISIBLE, ",".join(map(str, range(gpus)))).split(",")[:gpus]
    groups = [names[k : k + size] for k in range(0, gpus - size + 1, size)]
    return [{VISIBLE: ",".join(group)} for group in groups[:at_most]]


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job],
    free: Sequence[Place],
    ended: Ended | None = None,
    done: int = 0,
    watch: Watch | None = None,
    again: str = "call the same command again",
) -> list[Job]:
    """Run all jobs, one in every place, with a progress bar that shows the time left.

    On Ctrl-C or SIGTERM the runs finish their iteration and save, and this process exits with 130.
    They do the same if `ended` raises an error.

    Args:
        jobs: started in this order.
        free: the places, see `places`.
        ended: called whenever a job has ended.
        done: jobs that had ended before; the bar begins there.
        watch: called again and again with the running jobs.
        again: how runs that were stopped are continued, for the sentence on Ctrl-C.

    Returns:
        The jobs that failed.
    """
    running: dict[Job, subprocess.Popen[bytes]] = {}
    with sigterm_interrupts(), tqdm(total=done + len(jobs), initial=done, unit="run") as bar:

        def note(job: Job, code: int) -> None:
            if code:
                tqdm.write(f"a run ended with exit code {code}: {job.log}")
            if ended is not None:
                ended(job, code)
            bar.update()

        try:
            return _run_all(list(jobs), running, list(free), note, watch or (lambda _: None))
        except KeyboardInterrupt:
            tqdm.write(
                f"stopping {len(running)} runs after their iteration, with a checkpoint each; to "
                f"continue, {again} (another Ctrl-C does not wait for them)"
            )
            _stop(running)
            raise SystemExit(130) from None
        except Exception:
            _stop(running)
            raise


def _run_all(
    waiting: list[Job],
    running: "dict[Job, subprocess.Popen[bytes]]",
    free: list[Place],
    ended: Ended,
    watch: Watch,
) -> list[Job]:
    """Keep every place busy until all jobs have ended; the jobs that failed."""
    failed = []
    taken: dict[Job, Place] = {}
    while waiting or running:
        while waiting and free:
            job = waiting.pop(0)
            taken[job] = free.pop(0)
            running[job] = _start(job, taken[job])
        time.sleep(POLL)
        watch(running)
        for job in [job for job, process in running.items() if process.poll() is not None]:
            code = running.pop(job).returncode
            free.append(taken.pop(job))
            if code:
                failed.append(job)
            ended(job, code)
    watch(())
    return failed


def _start(job: Job, place: Place) -> "subprocess.Popen[bytes]":
    """Start one run on one thread, in a session of its own: this process forwards signals."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **job.variables, **place}
    with job.log.open("wb") as file:
        return subprocess.Popen(
            job.command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _stop(running: "Mapping[Job, subprocess.Popen[bytes]]") -> None:
    """Let the running jobs finish their iteration and save; wait for them."""
    for process in running.values():
        process.send_signal(signal.SIGINT)
    for process in running.values():
        process.wait()


def require_all_succeeded(jobs: Sequence[Job], failed: Sequence[Job]) -> None:
    """Raise if jobs have failed.

    Raises:
        RunsFailed: names their logs.
    """
    logs = ", ".join(str(job.log) for job in failed)
    if failed:
        raise RunsFailed(f"{len(failed)} of {len(jobs)} runs failed; see {logs}")
