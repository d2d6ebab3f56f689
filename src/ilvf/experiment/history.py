"""Learning curves of finished runs, read from the MLflow store."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ilvf.algorithms.options import ALGORITHMS
from ilvf.errors import UsageError
from ilvf.experiment.resumed import HARMLESS, changes_in
from ilvf.experiment.store import first_line
from ilvf.options import one_line

MOST_RUNS = 5000


@dataclass(frozen=True)
class FinishedRun:
    """A run and its learning curve.

    Attributes:
        title: the algorithm's name, of the study or its own.
        params: config key → text of its value, see `params_of`.
        frames: environment frames at its end.
        curve: frames → value; its name is the seed.
    """

    title: str
    params: Mapping[str, str]
    frames: int
    curve: pd.Series


def read_runs(
    uri: str, experiment: str, metric: str, where: str | None = None
) -> list[FinishedRun]:
    """All finished runs of an experiment that have logged a finite value of a metric, oldest first.

    Args:
        uri: of the store.
        experiment: name of the MLflow experiment.
        metric: name of the logged metric.
        where: MLflow filter of the runs.

    Raises:
        UsageError: no such experiment, or a wrong filter.
    """
    client = MlflowClient(uri)
    place = client.get_experiment_by_name(experiment)
    if place is None:
        known = known_experiments(uri)
        raise UsageError(f"there is no experiment {one_line(experiment)}; {known}")
    found = []
    for run in finished_runs(client, [place.experiment_id], where):
        curve = curve_of(client.get_metric_history(run.info.run_id, metric))
        if curve.empty:
            continue
        curve.name = int(run.data.params["seed"])
        frames = int(run.data.metrics.get("frames", curve.index[-1]))
        found.append(FinishedRun(title_of_run(run), params_of(run), frames, curve))
    return found


def params_of(run: Run) -> dict[str, str]:
    """The config of a run; a value that matters and that resumes have changed is `first → last`."""
    params: dict[str, str] = dict(run.data.params)
    for key, value in changes_in(run.data.tags).items():
        first, last = params.get(key), str(value)
        params[key] = last if key in HARMLESS or first in (None, last) else f"{first} → {last}"
    return params


def experiments_with_runs(uri: str) -> list[str]:
    """Names of the experiments with a finished run, that of the newest one first."""
    client = MlflowClient(uri)
    names = {e.experiment_id: e.name for e in client.search_experiments()}
    newest = finished_runs(client, list(names))[::-1]
    return list(dict.fromkeys(names[run.info.experiment_id] for run in newest))


def known_experiments(uri: str) -> str:
    """The experiments with finished runs, for a message."""
    return f"experiments with finished runs: {', '.join(experiments_with_runs(uri)) or 'none'}"


def finished_runs(
    client: MlflowClient, experiments: Sequence[str], where: str | None = None
) -> list[Run]:
    """Finished runs that have a seed, oldest first; of more than `MOST_RUNS` the newest.

    Args:
        experiments: their ids.
        where: MLflow filter of the runs.
    """
    query = "attributes.status = 'FINISHED'"
    if where:
        query = f"{query} and {where}"
    try:
        runs = client.search_runs(
            list(experiments),
            query,
            max_results=MOST_RUNS,
            order_by=["attributes.start_time DESC"],
        )
    except MlflowException as error:
        if not where:
            raise
        reason = first_line(error)
        raise UsageError(f"compare.where={where!r} is no MLflow filter: {reason}") from error
    return [run for run in reversed(runs) if "seed" in run.data.params]


def curve_of(points: Sequence[Metric]) -> pd.Series:
    """The finite values of a metric, by frames."""
    values = {point.step: point.value for point in points if math.isfinite(point.value)}
    return pd.Series(values, dtype=float).sort_index()


def title_of_run(run: Any) -> str:
    """The algorithm's name: the run's tag, or by the recipe for runs of older versions."""
    params = run.data.params
    recipe = params.get("recipe", "")
    if recipe in ALGORITHMS:
        mixer = params.get("algorithm.mixer", recipe)
        known = ALGORITHMS[recipe].title if mixer == recipe else mixer.upper()
    else:
        known = recipe or params.get("env.name", "run")
    return run.data.tags.get("algorithm", known)
