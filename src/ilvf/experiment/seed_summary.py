"""The summary of a set of seeds: means over the last evaluations, once all seeds have finished."""

import statistics
from collections.abc import Sequence
from typing import Any

from mlflow.entities import Metric, Run
from mlflow.tracking import MlflowClient

from ilvf.experiment.membership import PARENT

NUMBER_OF_SEEDS = "seeds.number"  # tag of a parent whose runs differ in their seed alone
EVALUATION = "eval/"  # prefix of the metrics that are summarised
MOST_RUNS = 5000


def summarise_parent(client: MlflowClient, run_id: str) -> None:
    """Summarise the set of seeds that a run belongs to, if it does.

    A run that is resumed by itself can be the last of its set to finish.
    """
    parent = client.get_run(run_id).data.tags.get(PARENT)
    if parent is not None:
        summarise(client, parent)


def summarise(client: MlflowClient, parent_id: str) -> None:
    """Record means and standard deviations with the parent of a set of seeds, and finish it.

    Nothing happens unless all seeds have finished with the same number of frames. `eval/METRIC` is
    the mean over seeds, `eval_sd/METRIC` the standard deviation; they are recorded once.

    Args:
        parent_id: a run; if it is no parent of seeds, nothing happens.
    """
    parent = client.get_run(parent_id)
    number = parent.data.tags.get(NUMBER_OF_SEEDS)
    if number is None:
        return
    runs = finished_runs(client, parent)
    frames = {run.data.metrics.get("frames") for run in runs}
    if len(runs) < int(number) or len(frames) != 1:
        return
    (last,) = frames
    if last is None:
        return
    if parent.data.metrics.get("frames") != last:
        end = max(run.info.end_time for run in runs)
        values = {"frames": last, "seeds/finished": float(len(runs)), **summary(runs)}
        metrics = [Metric(key, value, end, int(last)) for key, value in values.items()]
        client.log_batch(parent_id, metrics=metrics)
    client.set_terminated(parent_id, "FINISHED")


def finished_runs(client: MlflowClient, parent: Run) -> list[Run]:
    """The newest finished run of every seed below a parent."""
    query = f"tags.`{PARENT}` = '{parent.info.run_id}' and attributes.status = 'FINISHED'"
    found = client.search_runs(
        [parent.info.experiment_id],
        query,
        max_results=MOST_RUNS,
        order_by=["attributes.start_time ASC"],
    )
    newest: dict[Any, Run] = {run.data.tags.get("seed"): run for run in found}
    return list(newest.values())


def summary(runs: Sequence[Run]) -> dict[str, float]:
    """Mean and standard deviation over runs of every metric of the evaluation that all have."""
    shared = set.intersection(*(set(run.data.metrics) for run in runs))
    values = {}
    for key in sorted(shared):
        if not key.startswith(EVALUATION):
            continue
        of_runs = [run.data.metrics[key] for run in runs]
        values[key] = statistics.fmean(of_runs)
        if len(runs) > 1:
            values[f"eval_sd/{key.removeprefix(EVALUATION)}"] = statistics.stdev(of_runs)
    return values
