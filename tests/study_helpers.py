"""Studies without a training: their content, a raw table, and runs that write it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ilvf.experiment.metrics_file import METRICS, append_row
from ilvf.studies.description import Study, StudyScale, StudyTask, study_of
from ilvf.studies.plan import PlannedRun
from ilvf.studies.raw_table import with_run
from ilvf.studies.sweep import Sweep

TINY_KEYS = {
    "env.n_agents": 4,
    "env.horizon": 10,
    "algorithm.num_envs": 4,
    "algorithm.rollout_steps": 10,
    "algorithm.epochs": 1,
    "algorithm.minibatches": 1,
    "algorithm.hidden": 8,
    "algorithm.eval_episodes": 2,
    "trainer.pictures": False,
    "trainer.animation": False,
}
TINY_ANALYSIS = {"moments": "0,0.5", "episodes": 2, "actions": 2, "repeats": 2, "steps": 3}


def content(**changes: Any) -> dict[str, Any]:
    """The content of a small study's yaml file."""
    return {
        "title": "A small study",
        "baseline": "MAPPO",
        "algorithms": [
            {"recipe": "mappo"},
            {"title": "ILVF-P (threshold)", "recipe": "ilvf_p", "keys": {"algorithm.tau": 0.5}},
        ],
        "tasks": [{"title": "Encircle", "env": "encircle", "frames": 80}],
        "scales": {"tiny": {"seeds": "0-1", "keys": TINY_KEYS}},
        **changes,
    }


def small_study(**changes: Any) -> Study:
    """The small study, with changes."""
    return study_of("small", content(**changes), "tiny")


def table_of(runs: list[PlannedRun], values: dict[str, list[float]]) -> pd.DataFrame:
    """A raw table in which each run has two points, whose mean is the value of its seed.

    Args:
        values: algorithm → one value a seed. Curves rise from 10 below to 10 above.
    """
    table = pd.DataFrame()
    for run in runs:
        value = values[run.algorithm][run.seed]
        curve = pd.Series({run.frames // 2: value - 10, run.frames: value + 10})
        table = with_run(table, run, curve)
    return table


def yaml_of(seeds: str) -> str:
    """The small study as yaml, with these seeds and an analysis; json is yaml."""
    after = {"influence_over_episode": TINY_ANALYSIS}
    scales = {"tiny": {"seeds": seeds, "keys": TINY_KEYS, "after": after}}
    return json.dumps(content(scales=scales, after=list(after)))


def tiny_sweep(axes, **changes):
    """A sweep of ILVF-P on a small Encircle, with one seed."""
    task = StudyTask(title="encircle", env="encircle", keys=dict(TINY_KEYS), frames=80)
    return replace(Sweep("ilvf_p", task, StudyScale(seeds="0"), axes), **changes)


class WritingEngine:
    """An engine that writes the metrics of a run instead of training it.

    Args:
        value: what the metric is, from the run's arguments; None lets the run fail.
        at_a_time: runs at a time.
    """

    def __init__(self, value, at_a_time=2):
        self.value = value
        self.at_a_time = at_a_time
        self.batches = []

    def alive(self):
        return ()

    def width(self):
        return self.at_a_time

    def run(self, jobs, ended=None, done=0):
        failed = []
        self.batches.append([job.name for job in jobs])
        for job in jobs:
            arguments = dict(word.split("=", 1) for word in job.command if "=" in word)
            value = self.value(arguments)
            folder = Path(arguments["out"]) / job.name
            if value is None:
                failed.append(job)
            else:
                frames = int(arguments["trainer.max_epochs"]) * 40
                append_row(folder / METRICS, frames, {"reward/agent_step": value})
            ended(job, int(value is None))
        return failed
