"""The curves of a study in the format of marl-eval: `marl_eval.json` (Gorsane et al., 2022).

    environment → task → algorithm → seed_K → step_I → {step_count, value: [...], score: [...]}
                                              absolute_metrics → {value: [...], score: [...]}

marl-eval compares arrays. So in each environment there are the algorithms and seeds that all of its
tasks have, and every run has as many steps as the run with the fewest points: neighbouring points
are averaged. `value` is the task's metric. `score` is higher for better, 0 for the worst run and 1
for the best.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ilvf.analysis.curves import last_tenth
from ilvf.studies.description import Study, StudyTask
from ilvf.studies.scores import Curves, bounds_of, curves_of, run_values, whole_curve

Runs = dict[tuple[str, int], pd.Series]  # algorithm and seed → finite points


def marl_eval_json(table: pd.DataFrame, study: Study) -> str:
    """The curves as JSON. Names of environments and tasks are in small letters, as it looks up."""
    groups: dict[str, list[StudyTask]] = {}
    for task in study.tasks:
        if finite_runs(curves_of(table, study, task)):
            groups.setdefault(task.env.lower(), []).append(task)
    found = {}
    for environment, tasks in groups.items():
        content = environment_of(table, study, tasks)
        if content:
            found[environment] = content
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def environment_of(table: pd.DataFrame, study: Study, tasks: Sequence[StudyTask]) -> dict[str, Any]:
    """The tasks of one environment; empty if no algorithm has a run on all of them."""
    curves = {task.title: curves_of(table, study, task) for task in tasks}
    runs = {title: finite_runs(of_task) for title, of_task in curves.items()}
    kept = common_runs(list(runs.values()))
    if not kept:
        return {}
    steps = min(len(of_task[key]) for of_task in runs.values() for key in kept)
    content = {}
    for task in tasks:
        bounds = bounds_of(run_values(curves[task.title], whole_curve), task)
        algorithms: dict[str, Any] = {}
        for algorithm, seed in kept:
            run = runs[task.title][algorithm, seed]
            name = algorithm.replace(",", ";")  # which its names cannot have
            algorithms.setdefault(name, {})[f"seed_{seed}"] = steps_of(run, steps, bounds)
        content[task.title.lower()] = algorithms
    return content


def finite_runs(curves: Curves) -> Runs:
    """The runs of a task that have finite points."""
    found = {}
    for algorithm, runs in curves.items():
        for run in runs:
            points = run[np.isfinite(run)]
            if len(points):
                found[algorithm, int(run.name)] = points
    return found


def common_runs(tasks: Sequence[Runs]) -> list[tuple[str, int]]:
    """Algorithms and seeds that all tasks have; all algorithms have the same seeds."""
    common = [key for key in tasks[0] if all(key in runs for runs in tasks)]
    algorithms = dict.fromkeys(algorithm for algorithm, _ in common)
    seeds = {seed for _, seed in common}
    shared = [s for s in sorted(seeds) if all((a, s) in common for a in algorithms)]
    return [(algorithm, seed) for algorithm in algorithms for seed in shared]


def steps_of(run: pd.Series, steps: int, bounds: tuple[float, float]) -> dict[str, Any]:
    """The steps of a run and its absolute metrics, which are those of its last tenth."""
    content: dict[str, Any] = {}
    for number, places in enumerate(np.array_split(np.arange(len(run)), steps)):
        points = run.iloc[places]
        count = {"step_count": int(points.index[-1])}
        content[f"step_{number}"] = count | metrics_of(float(points.mean()), bounds)
    content["absolute_metrics"] = metrics_of(last_tenth(run), bounds)
    return content


def metrics_of(value: float, bounds: tuple[float, float]) -> dict[str, list[float]]:
    """The value of a metric and its score, as lists of one number."""
    worst, best = bounds
    score = (value - worst) / (best - worst) if best != worst else 0.0
    return {"value": [value], "score": [score]}
