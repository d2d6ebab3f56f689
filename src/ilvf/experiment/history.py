"""Reading runs back from the MLflow store, to compare them."""

from collections.abc import Sequence

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ilvf.errors import UsageError, require

RUN_ONLY = (
    "seed",
    "seeds",
    "out",
    "preset",
    "trainer.threads",
    "trainer.progress",
    "trainer.accelerator",
)


def read_runs(
    uri: str,
    experiment: str,
    metric: str,
    where: str | None = None,
    by: Sequence[str] | None = None,
) -> dict[str, list[pd.Series]]:
    """Learning curves of all finished runs: label → one series (frames → value) per run, ordered by seed.

    A label is made of the config keys in `by`; without them, of the recipe and of those keys that differ between runs
    of the same recipe. Of several runs with the same label and seed the newest counts. A series is named by its seed.
    """
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    known = ", ".join(e.name for e in client.search_experiments())
    if found is None:
        raise UsageError(f"no experiment {experiment!r} in {uri}; it has {known}")
    query = " and ".join(["attributes.status = 'FINISHED'", *([where] if where else [])])
    try:
        found_runs = client.search_runs(
            [found.experiment_id], query, max_results=5000, order_by=["attributes.start_time ASC"]
        )
    except MlflowException as error:
        raise UsageError(
            f"compare.where={where!r} is no MLflow filter: {str(error).splitlines()[0]}"
        ) from error
    runs = [run for run in found_runs if "seed" in run.data.params]
    params = pd.DataFrame([r.data.params for r in runs])
    unknown = [k for k in by or () if k not in params]
    require(not unknown, f"compare.by: {unknown} are not config keys of these runs")
    recipes = params["recipe"] if "recipe" in params else pd.Series([experiment] * len(params))
    recipes = recipes.fillna(experiment)
    keys = {r: list(by) if by else _differing(params[recipes == r]) for r in recipes.unique()}
    curves: dict[tuple[str, int], pd.Series] = {}
    for run, recipe in zip(runs, recipes, strict=True):
        parts = [] if by else [recipe]
        parts += [f"{k.rpartition('.')[2]}={run.data.params.get(k, '-')}" for k in keys[recipe]]
        history = client.get_metric_history(run.info.run_id, metric)
        if history:
            seed = int(run.data.params["seed"])
            points = pd.Series({m.step: m.value for m in history}, name=seed).sort_index()
            curves[", ".join(parts), seed] = points
    groups: dict[str, list[pd.Series]] = {}
    for label, seed in sorted(curves):
        groups.setdefault(label, []).append(curves[label, seed])
    return groups


def _differing(params: pd.DataFrame) -> list[str]:
    """The config keys whose values differ between these runs."""
    return [
        c for c in params if c not in (*RUN_ONLY, "recipe") and params[c].nunique(dropna=False) > 1
    ]
