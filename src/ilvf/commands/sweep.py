"""Run an algorithm with many values of its keys, and report on the best.

ilvf sweep algorithm.tau=0.5,1,2 algorithm.threshold=0.2,0.5       the grid of all values
ilvf sweep mappo algorithm.lr=1e-4,1e-3 env=capture_prey seeds=0-2 metric=return/team
ilvf sweep sampler=tpe trials=30 algorithm.tau=0.1..5 algorithm.lr=1e-4..1e-2:log

The algorithm is ilvf_p if the first argument names no other. env=NAME and all algorithm.*, env.*
and trainer.* of `ilvf train ALGORITHM` can be given: with one value, with several, or (for a
sampler) with a range. Call the same command again to continue.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ilvf.commands.study import print_missing
from ilvf.envs.options import expanded
from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.config import Config, environment_of, given_values
from ilvf.experiment.engine_options import EngineOptions, RunnerKeys
from ilvf.experiment.engines import engine_of
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import Leaf, Schema
from ilvf.options import option
from ilvf.studies.keys import RESERVED

if TYPE_CHECKING:
    from ilvf.studies.space import Space
    from ilvf.studies.sweep import Sweep
    from ilvf.studies.sweep_report import SweepRunner

RECIPE = "ilvf_p"
ENV = "encircle"
DECIDED = RESERVED - {"out", "preset", "seeds"}  # keys of a run that other keys of a sweep decide
SHOWN = 5  # combinations that are printed at the end


@dataclass
class SweepKeys(RunnerKeys):
    """How a sweep runs, and what is compared."""

    metric: str = option("reward/agent_step", "any logged metric; its last tenth counts")
    better: Literal["higher", "lower"] = option("higher", "which values of the metric are better")
    frames: int = option(100_000, "environment frames of a run", least=1)
    seeds: str = option("0", "seeds of every combination, such as 0-2")
    preset: str | None = option(None, "preset of every run")
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = option(
        "cpu", "where runs are, as trainer.accelerator; one run at a time on each GPU"
    )
    sampler: Literal["grid", "tpe", "random"] = option(
        "grid", "grid: all combinations; tpe, random: some, chosen by Optuna"
    )
    trials: int | None = option(
        None, "combinations that a sampler tries; a later call can give more", least=1
    )
    out: str = option("runs", "the sweep is in OUT/sweeps/NAME", path=True)


SCHEMA = Schema("sweep", __doc__, SweepKeys, {"engine": EngineOptions})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sweep as the arguments say."""
    recipe, words = recipe_of(list(sys.argv[1:] if arguments is None else arguments))
    training_schema(recipe)
    own, others = parted(words)
    space = space_of(recipe, given_values(others))
    config = command_line(SCHEMA, own)
    is_grid = config.sampler == "grid"
    require(
        is_grid or config.trials is not None,
        f"sampler={config.sampler} needs trials=NUMBER, how many combinations it tries",
    )
    require(
        not is_grid or config.trials is None,
        f"trials={config.trials} needs sampler=tpe or sampler=random; a grid runs all combinations",
    )
    sweep = sweep_of(space, config)
    folder = Path(config.out) / "sweeps" / f"{sweep.name}-{sweep.mark}"
    run = run_grid if is_grid else run_trials
    runner = run(sweep, folder, config)
    if runner is not None:
        print_best(runner)


def recipe_of(words: list[str]) -> tuple[str, list[str]]:
    """The algorithm, and the arguments that are left."""
    if words and "=" not in words[0] and not words[0].startswith("-"):
        return words[0], words[1:]
    return RECIPE, words


def keys_of_runs(words: Sequence[str], env: str = ENV) -> dict[str, Leaf]:
    """The keys of the runs that a sweep can have.

    Args:
        words: arguments; the first may be the algorithm.
        env: the declared environment.
    """
    leaves = training_schema(recipe_of(list(words))[0]).leaves(env)
    return {key: leaf for key, leaf in leaves.items() if "." in key and key not in DECIDED}


def parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of the sweep itself, with flags, and the keys of the runs."""
    known = SCHEMA.leaves(None)
    own: list[str] = []
    others: list[str] = []
    for word in words:
        key = word.partition("=")[0]
        is_own = key in known or key.startswith(("engine.", "-")) or "=" not in word
        (own if is_own else others).append(word)
    return own, others


def space_of(recipe: str, given: dict[str, str]) -> "Space":
    """What is swept, from the keys of the runs.

    Raises:
        UsageError: a key is unknown or decided by the sweep, or a value is wrong.
    """
    from ilvf.studies.space import Space, fixed_and_varied

    clash = sorted(DECIDED & set(given))
    require(
        not clash,
        f"a sweep cannot have {', '.join(clash)}; frames=, seeds= and accelerator= decide it",
    )
    given = expanded(given)
    word = given.pop("env", ENV)
    env, _ = environment_of(word)
    leaves = SCHEMA.leaves(None) | keys_of_runs([recipe], str(env))
    return Space(recipe, word, *fixed_and_varied(given, leaves))


def sweep_of(space: "Space", config: Config) -> "Sweep":
    """The sweep of a space as a config says."""
    from ilvf.studies.description import StudyScale, StudyTask
    from ilvf.studies.sweep import Sweep

    task = StudyTask(
        title=Path(space.env).stem,
        env=space.env,
        keys=space.fixed,
        metric=config.metric,
        better=config.better,
        frames=config.frames,
    )
    scale = StudyScale(seeds=config.seeds, preset=config.preset, accelerator=config.accelerator)
    return Sweep(space.recipe, task, scale, space.varied, config.sampler)


def run_grid(sweep: "Sweep", folder: Path, config: Config) -> "SweepRunner | None":
    """Run all combinations, or only report on them; None if they are only listed."""
    from ilvf.studies.sweep_report import SweepRunner

    runner = SweepRunner(sweep.study(sweep.grid()), folder)
    if config.dry:
        print_missing(runner)
        return None
    if config.report:
        runner.report()
    else:
        runner.run(engine_of(config.engine, folder / "jobs", config.accelerator))
    return runner


def run_trials(sweep: "Sweep", folder: Path, config: Config) -> "SweepRunner | None":
    """Run what a sampler chooses, or only report on it; None if it is only counted."""
    from ilvf.studies.trials import SampledSweep

    sampled = SampledSweep(sweep, folder)
    if config.dry:
        print(sampled.summary(config.trials))
        return None
    if not config.report:
        sampled.run(config.trials, engine_of(config.engine, folder / "jobs", config.accelerator))
    runner = sampled.runner()
    runner.report()
    return runner


def print_best(runner: "SweepRunner") -> None:
    """The best combinations, and where the report is."""
    from ilvf.studies.sweep_report import ranking

    print(f"{runner.study.tasks[0].metric}, last tenth:")
    combinations = {algorithm.title: algorithm.keys for algorithm in runner.study.algorithms}
    for title, value in ranking(runner.planned_table(), runner.study)[:SHOWN].items():
        keys = " ".join(f"{key}={text}" for key, text in combinations[title].items())
        print(f"  {value:12.4f}  {keys}")
    print(f"report: {runner.folder / 'report.md'}")
