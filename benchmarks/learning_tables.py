"""The tables of `learning.py`: evaluations of the trained policies and of reference policies."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ilvf.checkpoints.files import read_checkpoint
from ilvf.checkpoints.policy import actor_of
from ilvf.data.evaluation import evaluate
from ilvf.envs import make_env
from ilvf.modules import RandomActor
from learning_tasks import Task, Test
from runs import Variant, client_of, finished

SEED = 12345  # of the test's environments
COLLISION_EPISODES = 50
COLLISIONS = f"collisions of {COLLISION_EPISODES}"

Figures = dict[str, float]  # column → value
Rows = dict[str, list[Figures]]  # policy → figures, of each seed


def table(task: Task, test: Test, out: Path, variants: Sequence[Variant]) -> str:
    """All policies' evaluations as a markdown table; learned ones as mean ± sd over seeds."""
    rows = {**rows_of_rules(task, test), **rows_of_learned(task, test, out, variants)}
    columns = list(next(iter(rows.values()))[0])
    lines = [["policy", *columns], ["---"] * (len(columns) + 1)]
    for policy, found in rows.items():
        cells = [cell([figures[column] for figures in found]) for column in columns]
        lines.append([policy, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows_of_rules(task: Task, test: Test) -> Rows:
    rows = {}
    for rule in task.rules:
        rows[rule] = [figures_of(task, test, rule_policy(task, rule), deterministic=True)]
    return rows


def rows_of_learned(task: Task, test: Test, out: Path, variants: Sequence[Variant]) -> Rows:
    rows = {}
    for variant in variants:
        runs = finished(out, task.env["name"], variants, variant)
        actors = [trained_actor(out, run) for _, run in sorted(runs.items())]
        if not actors:
            continue
        for word, deterministic in (("greedy", True), ("sampled", False)):
            found = [figures_of(task, test, a, deterministic=deterministic) for a in actors]
            rows[f"{label(variant)}, {word}"] = found
    return rows


def label(variant: Variant) -> str:
    """`ippo critic=state` for the recipe ippo with algorithm.critic=state."""
    recipe, *arguments = variant
    return " ".join([recipe, *(argument.partition(".")[2] for argument in arguments)])


def cell(values: list[float]) -> str:
    """A value, or mean ± sd of several."""
    mean = statistics.fmean(values)
    style = ".2f" if abs(mean) < 1000 else ".0f"
    if len(values) == 1:
        return f"{mean:{style}}"
    return f"{mean:{style}} ± {statistics.stdev(values):{style}}"


# ---------------------------------------------------------------------- evaluations
def figures_of(task: Task, test: Test, policy: Any, *, deterministic: bool) -> Figures:
    """`task.shown` over the episodes of a test; for platoons also collisions from drawn starts."""
    episodes = test.deterministic if deterministic else test.sampled
    found = play({**task.env, **test.env}, policy, deterministic, episodes)
    figures = {}
    for name in task.shown:
        figures[name] = found["return/team" if name == "return" else f"episode/{name}"]
    if task.env["name"] == "cacc":
        drawn = play(task.env, policy, deterministic, COLLISION_EPISODES)
        figures[COLLISIONS] = COLLISION_EPISODES * drawn["episode/collision"]
    return figures


def play(env_options: dict[str, Any], policy: Any, deterministic: bool, episodes: int) -> Figures:
    """The metrics of an evaluation."""
    torch.manual_seed(0)
    env = make_env(num_envs=episodes, seed=SEED, **env_options).eval()
    try:
        metrics, _ = evaluate(env, policy, max_steps=env.horizon, deterministic=deterministic)
    finally:
        env.close()
    return metrics


def rule_policy(task: Task, name: str) -> Any:
    """A reference policy: random actions, or a rule of the environment."""
    env = make_env(**task.env)
    if name == "random":
        return RandomActor(env.n_actions, masked=env.masked)
    return env.rules[name]()


def trained_actor(out: Path, run: str) -> Any:
    """The actor at the end of a run."""
    path = client_of(out).download_artifacts(run, "checkpoints/last.ckpt")
    return actor_of(read_checkpoint(path))
