"""Learning curves of finished runs, read from the MLflow store."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ilvf.errors import UsageError, require

NOT_COMPARED = (  # config keys that do not distinguish groups of runs
    "recipe",
    "seed",
    "seeds",
    "out",
    "preset",
    "trainer.threads",
    "trainer.progress",
    "trainer.system_metrics",
    "trainer.accelerator",
)
Groups = dict[str, list[pd.Series]]


def read_runs(
    uri: str,
    experiment: str,
    metric: str,
    where: str | None = None,
    by: Sequence[str] | None = None,
) -> Groups:
    """Learning curves of all finished runs, grouped.

    Args:
        uri: of the store.
        experiment: name of the MLflow experiment.
        metric: name of the logged metric.
        where: MLflow filter of the runs.
        by: config keys whose values label a group; None labels by the recipe and by the keys that
            differ between runs of the same recipe.

    Returns:
        label → one series (frames → value) per run, named and ordered by seed. Of several runs
        with the same label and seed the newest counts.

    Raises:
        UsageError: no such experiment, a wrong filter, or an unknown key.
    """
    client = MlflowClient(uri)
    runs = _finished_runs(client, uri, experiment, where)
    params = pd.DataFrame([run.data.params for run in runs])
    unknown = [key for key in by or () if key not in params]
    require(not unknown, f"compare.by: {unknown} are not config keys of these runs")
    labels = _labels(params, experiment, by)
    curves: dict[tuple[str, int], pd.Series] = {}
    for run, label in zip(runs, labels, strict=True):
        history = client.get_metric_history(run.info.run_id, metric)
        if not history:
            continue
        seed = int(run.data.params["seed"])
        points = pd.Series({point.step: point.value for point in history}, name=seed)
        curves[label, seed] = points.sort_index()
    groups: Groups = {}
    for label, seed in sorted(curves):
        groups.setdefault(label, []).append(curves[label, seed])
    return groups


def _finished_runs(client: MlflowClient, uri: str, experiment: str, where: str | None) -> list[Any]:
    """Finished runs of an experiment that have a seed, oldest first."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        known = ", ".join(e.name for e in client.search_experiments())
        raise UsageError(f"no experiment {experiment!r} in {uri}; it has {known}")
    query = "attributes.status = 'FINISHED'"
    if where:
        query = f"{query} and {where}"
    try:
        runs = client.search_runs(
            [found.experiment_id],
            query,
            max_results=5000,
            order_by=["attributes.start_time ASC"],
        )
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"compare.where={where!r} is no MLflow filter: {reason}") from error
    return [run for run in runs if "seed" in run.data.params]


def _labels(params: pd.DataFrame, experiment: str, by: Sequence[str] | None) -> list[str]:
    """The group of every run, for a table with a row per run and a column per config key."""
    if params.empty:
        return []
    if "recipe" in params:
        recipes = params["recipe"].fillna(experiment)
    else:
        recipes = pd.Series([experiment] * len(params))
    labels = []
    keys = {
        recipe: list(by or _differing(params[recipes == recipe])) for recipe in recipes.unique()
    }
    for (_, row), recipe in zip(params.iterrows(), recipes, strict=True):
        parts = [] if by else [recipe]
        for key in keys[recipe]:
            value = row.get(key)
            parts.append(f"{key.rpartition('.')[2]}={'-' if pd.isna(value) else value}")
        labels.append(", ".join(parts))
    return labels


def _differing(params: pd.DataFrame) -> list[str]:
    """The config keys whose values differ between these runs."""
    differing = []
    for key in params:
        if key not in NOT_COMPARED and params[key].nunique(dropna=False) > 1:
            differing.append(key)
    return differing
