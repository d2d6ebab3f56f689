"""A sweep whose combinations Optuna chooses: trials, kept in `optuna.db` in the sweep's folder.

A trial is a combination, and its value the ranking value of its runs (interquartile mean of the
last tenth over seeds). Trials run in batches, as many at a time as there are places; the sampler
sees the values of all earlier batches. A trial that an interruption has left open runs again.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ilvf.errors import UsageError, require
from ilvf.experiment.engine_options import installed
from ilvf.experiment.folder import make_folder
from ilvf.experiment.jobs import Engine, RunsFailed
from ilvf.experiment.lock import alone
from ilvf.experiment.seeds import parse_seeds
from ilvf.experiment.store import SQLITE, first_line, require_address
from ilvf.studies.plan import planned_runs
from ilvf.studies.space import Axis, Values
from ilvf.studies.sweep import Combination, Sweep, require_axes
from ilvf.studies.sweep_report import SweepRunner, ranking

STORAGE = "optuna.db"
LOCK = "sweep.lock"  # in the sweep's folder: one process asks for trials at a time
Trial = Any  # optuna's FrozenTrial; optuna is imported when a sampler is used


class SampledSweep:
    """The trials of a sweep.

    Args:
        sweep: what is swept; its sampler is Optuna's.
        folder: of the sweep; the trials make it.

    Raises:
        UsageError: Optuna is missing, there is nothing to vary, or the folder's path cannot be in
            the address of a database.
    """

    def __init__(self, sweep: Sweep, folder: Path):
        require(
            installed("optuna"),
            f'sampler={sweep.sampler} needs Optuna: pip install "ilvf[optuna]"',
        )
        require_axes(sweep.axes)
        self.sweep = sweep
        self.folder = folder.resolve()
        require_address(f"{SQLITE}{self.folder / STORAGE}")
        self._axes = {axis.key: axis for axis in sweep.axes}

    @functools.cached_property
    def _study(self) -> Any:
        """Optuna's study of the sweep; made with its folder if it does not exist."""
        make_folder(self.folder, f"out={self.folder}")
        return opened(self.folder / STORAGE, self.sweep)

    def summary(self, trials: int) -> str:
        """How many trials have ended, and what is varied."""
        exists = (self.folder / STORAGE).exists()
        ended = len(self._trials("COMPLETE", "FAIL")) if exists else 0
        varied = " ".join(map(str, self.sweep.axes))
        return f"{ended} of {trials} trials have ended: {varied}"

    def runner(self) -> SweepRunner:
        """The runner of the trials that have not failed, with their report.

        Raises:
            UsageError: there is none.
        """
        combinations = {}
        for trial in self._trials("COMPLETE", "RUNNING"):
            combinations[title_of(trial)] = self._combination(trial)
        require(bool(combinations), f"no trial in {self.folder / STORAGE} has been run")
        return SweepRunner(self.sweep.study(combinations), self.folder)

    def run(self, trials: int, engine: Engine) -> None:
        """Run trials until `trials` of them have ended.

        Raises:
            UsageError: another process runs the sweep.
            RunsFailed: runs of some trials have failed; these trials are not repeated.
        """
        make_folder(self.folder, f"out={self.folder}")
        with alone(self.folder / LOCK, "the sweep"):
            self._run(trials, engine)

    def _run(self, trials: int, engine: Engine) -> None:
        seeds = len(parse_seeds(self.sweep.scale.seeds))
        at_a_time = max(engine.width() // seeds, 1)
        failures = []
        while batch := self._next(trials, at_a_time):
            runner = self.runner()
            try:
                runner.run(engine)
            except RunsFailed as error:
                failures.append(str(error))
            self._tell(batch, runner)
        if failures:
            raise RunsFailed("; ".join(failures))

    # ------------------------------------------------------------------ trials
    def _next(self, trials: int, at_a_time: int) -> list[Trial]:
        """The next trials: those that were interrupted, then new ones."""
        distributions = {key: distribution_of(axis) for key, axis in self._axes.items()}
        for trial in self._trials("RUNNING"):
            if set(trial.params) != set(self._axes):  # a kill has cut it while it was chosen
                self._study.tell(trial.number, state=state_of("FAIL"))
        while True:
            open_trials = self._trials("RUNNING")
            left = trials - len(self._trials("COMPLETE", "FAIL"))
            if len(open_trials) >= min(at_a_time, left):
                return open_trials[: max(left, 0)]
            self._study.sampler = sampler_of(self.sweep, len(self._trials()))
            self._study.ask(distributions)
            self._refuse_impossible(self._trials("RUNNING")[-1])

    def _refuse_impossible(self, trial: Trial) -> None:
        """Let a trial fail whose values are allowed one by one but not together."""
        title = title_of(trial)
        try:
            planned_runs(self.sweep.study({title: self._combination(trial)}))
        except UsageError as error:
            print(f"note: {title} is left out: {error}")
            self._study.tell(trial.number, state=state_of("FAIL"))

    def _tell(self, batch: Sequence[Trial], runner: SweepRunner) -> None:
        """Tell Optuna the values of trials; one that lacks a run has failed."""
        values = ranking(runner.planned_table(), runner.study)
        incomplete = {run.algorithm for run in runner.missing()}
        for trial in batch:
            title = title_of(trial)
            if title in values and title not in incomplete:
                self._study.tell(trial.number, float(values[title]))
            else:
                self._study.tell(trial.number, state=state_of("FAIL"))

    def _trials(self, *states: str) -> list[Trial]:
        """The trials in some states, or all, by number."""
        chosen = tuple(map(state_of, states)) or None
        return self._study.get_trials(deepcopy=False, states=chosen)

    def _combination(self, trial: Trial) -> Combination:
        """The values of a trial, in the order of the keys."""
        return dict(values_of(trial, self.sweep.axes))


def title_of(trial: Trial) -> str:
    """The title of a trial's runs."""
    return f"trial {trial.number}"


def values_of(trial: Trial, axes: Sequence[Axis]) -> Iterator[tuple[str, Any]]:
    """(key, value) of a trial; Optuna has the values of lists as text."""
    for axis in axes:
        value = trial.params[axis.key]
        if isinstance(axis, Values):
            value = axis.values[axis.texts.index(value)]
        yield axis.key, value


def state_of(name: str) -> Any:
    """A state of Optuna's trials."""
    from optuna.trial import TrialState

    return TrialState[name]


def distribution_of(axis: Axis) -> Any:
    """Optuna's distribution of a key."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(axis, Values):
        return CategoricalDistribution(axis.texts)
    if axis.is_whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def sampler_of(sweep: Sweep, number: int) -> Any:
    """Optuna's sampler for trial `number`, which is its seed: a sweep that continues goes on."""
    from optuna.samplers import RandomSampler, TPESampler

    if sweep.sampler == "random":
        return RandomSampler(seed=number)
    return TPESampler(seed=number, constant_liar=True)  # open trials count as bad ones


def opened(path: Path, sweep: Sweep) -> Any:
    """Optuna's study in a sqlite file, a new one or that of an earlier call.

    Raises:
        UsageError: the file cannot be used.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(
            storage=f"{SQLITE}{path}",
            study_name=sweep.name,
            direction="maximize" if sweep.task.better == "higher" else "minimize",
            load_if_exists=True,
        )
    except Exception as error:  # a storage can raise anything; its first line says what
        raise UsageError(
            f"{path} cannot be used ({first_line(error)}); restore it or delete it"
        ) from error
